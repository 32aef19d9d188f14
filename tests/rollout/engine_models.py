"""Tiny models for engines, adapters for them, and what they should have answered."""

import json
from functools import cached_property

import torch
from byte_tokenizer import byte_tokenizer

LETTERS = "abcdefghijklmnop"
END_IDS = (0, 2)


def build_model(folder, *, tied):
    """A Llama whose favourite tokens are single letters, some triples of them and two end tokens.

    Pairs and triples of letters are tokens of their own, so that letters sampled one by one are encoded
    in fewer tokens than they were sampled in.
    """
    from transformers import LlamaConfig, LlamaForCausalLM

    pairs = [(one, other) for one in LETTERS for other in LETTERS]
    triples = [(one + other, other) for one, other in pairs if one != other]
    fast, size = byte_tokenizer(("<end>", "<turn>", "<stop>"), [*pairs, *triples])
    vocabulary = fast.get_vocab()
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=size,
            hidden_size=64,
            intermediate_size=96,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=32,
            max_position_embeddings=1024,
            initializer_range=0.15,  # layers outweigh embeddings: what comes next depends on all before
            eos_token_id=0,
            pad_token_id=0,
            bos_token_id=None,
            tie_word_embeddings=tied,
        )
    )
    with torch.no_grad():
        liked = [*END_IDS, *(vocabulary[word] for word in (*LETTERS, *map("".join, triples[::12])))]
        model.lm_head.weight[liked] *= 3
        # Where one end token is likely the other is too, though never as likely.
        first, second = END_IDS
        model.lm_head.weight[second] *= 1.5
        model.lm_head.weight[first] = model.lm_head.weight[second] + 0.2 * model.lm_head.weight[first]
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    settings = folder / "generation_config.json"
    # The settings ask for what no sampled distribution may contain unless a request asks for it.
    settings.write_text(
        json.dumps({"eos_token_id": list(END_IDS), "temperature": 0.3, "top_k": 3, "repetition_penalty": 1.5})
    )
    return folder


def make_adapter(model_folder, folder, *, seed, size=0.1, **lora):
    """A random adapter of the model, as PEFT writes it."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32)
    settings = {"r": 8, "lora_alpha": 16, "target_modules": "all-linear", "task_type": "CAUSAL_LM"} | lora
    model = get_peft_model(model, LoraConfig(**settings))
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data.copy_(size * torch.randn(parameter.shape, generator=generator))
    model.save_pretrained(folder)
    return folder


class Reference:
    """What transformers and PEFT say of sampled tokens, in one plain pass over the whole sequence."""

    def __init__(self, model_folder, adapter_folder=None):
        self.model_folder, self.adapter_folder = model_folder, adapter_folder

    @cached_property
    def model(self):
        from peft import PeftModel
        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained(self.model_folder, dtype=torch.float32)
        if self.adapter_folder is not None:
            model = PeftModel.from_pretrained(model, self.adapter_folder)
        return model.eval()

    def logprobs(self, prompt_ids, token_ids, temperature=1.0):
        """Log-probability of each token after all before it, nothing cut."""
        with torch.no_grad():
            logits = self.model(torch.tensor([[*prompt_ids, *token_ids]])).logits[0, len(prompt_ids) - 1 : -1]
        logprobs = (logits / temperature).log_softmax(-1)
        return logprobs.gather(1, torch.tensor(token_ids)[:, None])[:, 0].tolist()

    def trainer_logprobs(self, prompt_ids, token_ids, sampling):
        """The same by the trainer's own function, which knows how tokens were cut."""
        from pettingllms.losses.logprobs import chosen_logprobs

        causal = self.model.get_base_model() if self.adapter_folder is not None else self.model
        with torch.no_grad():
            hidden = causal.model(torch.tensor([[*prompt_ids, *token_ids]])).last_hidden_state[0]
            scored = hidden[len(prompt_ids) - 1 : -1]
            head = causal.get_output_embeddings().weight
            return chosen_logprobs(scored, head, torch.tensor(token_ids), sampling)[0].tolist()


def largest_gap(reference, requests, completions):
    """Between the engine's log-probabilities and the reference's, over all tokens of all completions."""
    return max(
        abs(ours - theirs)
        for request, completion in zip(requests, completions, strict=True)
        for ours, theirs in zip(
            reference.logprobs(request.prompt_ids, completion.token_ids, request.sampling.temperature or 1.0),
            completion.logprobs,
            strict=True,
        )
    )
