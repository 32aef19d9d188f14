"""Greedy answers of vLLM alone: a request on standard input, the answers on the last line of its output."""

import json
import os
import sys

os.environ |= {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_NO_USAGE_STATS": "1",
}


def main():
    from vllm import LLM, SamplingParams
    from vllm.lora.request import LoRARequest

    asked = json.load(sys.stdin)
    adapters = asked["adapters"]
    lora = {"enable_lora": True, "max_loras": len(adapters), "max_lora_rank": 8} if adapters else {}
    llm = LLM(
        model=asked["model"],
        dtype="float32",
        generation_config="vllm",
        enforce_eager=True,
        max_model_len=512,
        max_num_seqs=16,
        block_size=32,
        max_num_batched_tokens=8192,
        disable_log_stats=True,
        **lora,
    )
    prompts = [{"prompt_token_ids": prompt} for prompt in asked["prompts"]]
    sampling = SamplingParams(temperature=0, max_tokens=asked["tokens"])
    requests = [
        LoRARequest(name, number, folder) for number, (name, folder) in enumerate(adapters.items(), 1)
    ]
    answers = [
        [list(one.outputs[0].token_ids) for one in llm.generate(prompts, sampling, lora_request=request)]
        for request in requests or [None]
    ]
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
