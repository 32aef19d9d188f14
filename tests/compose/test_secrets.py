"""What looks like a secret, and what is shown in its place."""

import pytest

from pettingllms.compose.resolution import Resolution
from pettingllms.compose.secrets import REDACTED, looks_secret, redacted


@pytest.mark.parametrize(
    "key",
    ["api_key", "apiKey", "OPENAI_API_KEY", "wandb-api-key", "token", "hf_token", "accessToken",
     "auth_tokens", "password", "passwords", "db_password", "secret", "client_secret_id",
     "aws_secret_access_key", "credentials", "HFToken", "private_key", "apikey", "bearer"],
)  # fmt: skip
def test_keys_that_look_like_secrets(key):
    assert looks_secret(key)


@pytest.mark.parametrize(
    "key",
    ["tokenizer", "max_tokens", "ppo_max_token_len_per_gpu", "tokens", "pad_token", "eos_token", "max_token",
     "token_ids", "key", "keys", "monkey", "custom_tokenizer_path", "max_num_batched_tokens", "compass", "",
     "skip_special_tokens", "logger", "secretary_x"],
)  # fmt: skip
def test_keys_that_do_not(key):
    assert not looks_secret(key)


def test_values_of_secrets_and_of_environment_variables_are_not_shown():
    data = {
        "path": "value-of-MODEL",
        "hf_token": "hf_value",
        "logging": {"api_key": "sk-12345", "url": "https://u:sk-12345@host", "token": None, "max_tokens": 8},
        "credentials": {"user": "me", "list": ["one", {"x": 2}]},
        "lr": 1e-6,
    }
    environment = {("path",): "${oc.env:MODEL}", ("hf_token",): "${oc.env:T,hf_default}"}
    assert redacted(data, Resolution(from_environment=environment)) == {
        "path": "${oc.env:MODEL}",
        "hf_token": REDACTED,
        "logging": {"api_key": REDACTED, "url": f"https://u:{REDACTED}@host", "token": None, "max_tokens": 8},
        "credentials": {"user": REDACTED, "list": [REDACTED, {"x": REDACTED}]},
        "lr": 1e-6,
    }
    assert data["logging"]["api_key"] == "sk-12345"


def test_a_reference_may_be_shown_where_it_holds_no_value():
    data = {"api_key": "${oc.env:KEY}", "token": "${oc.env:KEY,sk-default}", "secret": "${api_key}"}
    assert redacted(data, None) == {"api_key": "${oc.env:KEY}", "token": REDACTED, "secret": "${api_key}"}
