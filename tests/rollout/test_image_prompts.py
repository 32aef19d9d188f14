"""Prompts with images: what the engine samples from, the trainer scores, placeholders and pixels included."""

from io import BytesIO

import pytest
from image_prompts import SAMPLING, asked, check, image, tokenizer, trainer
from served_engines import engine_settings
from vision_models import build_idefics3, build_llava, build_qwen3_vl

from pettingllms.errors import RefusedError, RolloutError
from pettingllms.models.tokenizer import ChatTokenizer
from pettingllms.rollout.engine import generate
from pettingllms.rollout.prompts import fit_prompt
from pettingllms.types import FinishReason, Message, Request

pytest.importorskip("torch")
pytest.importorskip("PIL")
pytestmark = pytest.mark.usefixtures("one_thread")
PLACEHOLDER = "<image>"


@pytest.fixture(scope="module")
def sees(tmp_path_factory):
    return build_idefics3(tmp_path_factory.mktemp("models") / "sees")


@pytest.fixture(scope="module")
def sees_in_three_directions(tmp_path_factory):
    """Positions of its tokens are computed from the sizes of images."""
    pytest.importorskip("torchvision")
    return build_qwen3_vl(tmp_path_factory.mktemp("models") / "qwen")


@pytest.mark.parametrize("serving", ["adapter", "merged"])
@pytest.mark.parametrize("model", ["sees", "sees_in_three_directions"])
def test_hf_samples_what_the_trainer_scores(model, tmp_path, serving, request):
    from pettingllms.rollout.hf import HfEngine

    folder = request.getfixturevalue(model)
    engine = HfEngine(engine_settings(folder, "hf", serving, images=True))
    assert check(engine, folder, trainer(folder), tmp_path)
    engine.restore()
    engine.close()


@pytest.mark.parametrize("model", ["sees", "sees_in_three_directions"])
def test_hf_serves_full_weights_that_see(model, tmp_path, request):
    from pettingllms.rollout.hf import HfEngine

    folder = request.getfixturevalue(model)
    engine = HfEngine(engine_settings(folder, "hf", "merged", images=True))
    check(engine, folder, trainer(folder, ("a",), model={"specialization": "full"}), tmp_path, "a")
    engine.close()


def test_prompts_with_images_and_without_go_in_batches_of_their_own(sees):
    from pettingllms.rollout.hf import HfEngine

    engine = HfEngine(engine_settings(sees, "hf", "adapter", images=True))
    ids, _, none = fit_prompt(tokenizer(sees), [Message("user", "only text")], 400)
    assert none is None and len(ids) == len("only text") + 2, "the template wants parts"
    plain = Request("a", ids, SAMPLING, 3)
    one, other = asked(sees, "go", image(1)), asked(sees, "go", image(2))
    together = generate(engine, [one, plain, other])
    apart = [generate(engine, [each])[0] for each in (one, plain, other)]
    for done, alone in zip(together, apart, strict=True):
        assert done.token_ids == alone.token_ids
        assert done.logprobs == pytest.approx(alone.logprobs, abs=1e-5)
    assert together[0].logprobs != together[2].logprobs
    engine.close()


def test_the_ids_are_those_of_the_models_own_processor(sees):
    from PIL import Image
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(sees)
    ids, images = tokenizer(sees).see([Message("system", "be brief"), Message("user", "go", (image(1),))])
    text = "<turn>be brief<turn><image>go<turn>"
    whole = processor(text=[text], images=[[Image.open(BytesIO(image(1)))]])
    assert ids == list(whole["input_ids"][0])
    assert images.files == (image(1),) and images.text == text
    assert len(ids) == len(images.short_ids) + 6, "four placeholders for one mark, three more around them"


def test_a_text_that_spells_a_mark_stands_for_no_image(sees):
    ids, images = tokenizer(sees).see([Message("user", "<image><fake_token_around_image>", (image(1),))])
    assert images.text == "<turn><image>< image>< fake_token_around_image><turn>"
    mark = tokenizer(sees)._tokenizer.convert_tokens_to_ids(PLACEHOLDER)
    assert ids.count(mark) == 4


def test_a_prompt_is_cut_in_its_text_and_keeps_its_images(sees):
    message = Message("user", "x" * 100, (image(1),))
    ids, cut, images = fit_prompt(tokenizer(sees), [message], 40)
    assert (len(ids), cut, len(images.files)) == (40, True, 1)
    with pytest.raises(RolloutError, match="does not fit max_prompt_length = 5"):
        fit_prompt(tokenizer(sees), [message], 5)


def test_adapters_are_on_the_language_part_alone(sees):
    names = trainer(sees).named_parameters("a")
    assert names and all(".text_model.layers." in name for name in names)


def test_all_weights_of_a_full_policy_that_sees_are_trained(sees):
    names = trainer(sees, ("a",), model={"specialization": "full"}).named_parameters("a")
    assert any(".vision_model." in name for name in names) and any(".connector." in name for name in names)


def test_a_model_that_takes_none_is_refused(tied_model):
    for make in (tokenizer, lambda folder: trainer(folder, ("a",))):
        with pytest.raises(RefusedError, match=r"the model in .* takes none"):
            make(tied_model)
    with pytest.raises(RolloutError, match=r"env\.multi_modal is false"):
        ChatTokenizer(tied_model, trust_remote_code=False).see([Message("user", "?", (image(1),))])


def test_an_engine_that_was_started_without_images_says_so(sees, tied_model):
    from pettingllms.rollout.hf import HfEngine

    engine = HfEngine(engine_settings(tied_model, "hf", "adapter"))
    (done,) = generate(engine, [asked(sees, "go", image(1))])
    assert done.finish_reason is FinishReason.FAILED
    assert done.error == "the prompt holds images, and the engine was started without"
    engine.close()


def test_a_model_whose_files_have_other_names_is_refused(tmp_path):
    folder = build_llava(tmp_path / "renamed")
    for specialization in ("lora", "full"):
        with pytest.raises(RefusedError, match="name their weights otherwise than LlavaFor"):
            trainer(folder, ("a",), model={"specialization": specialization})
