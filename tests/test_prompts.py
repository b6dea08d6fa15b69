"""The options as a person meets them."""

import json
from pathlib import Path

from hooks import pre_gen_project
from tests.baking import ROOT, bake, options

PROMPTS = json.loads((ROOT / "cookiecutter.json").read_text())["__prompts__"]


def test_every_option_is_asked_for_in_a_plain_sentence() -> None:
    assert list(PROMPTS) == list(options())


def test_prompts_are_shown_and_the_answers_taken(tmp_path: Path) -> None:
    typed = [
        "Parcel Desk",
        "",
        "Parcels.",
        "Ada",
        "ada@example.com",
        "Asia/Tokyo",
        "2",
        "2",
        "2",
        "2",
        "2",
    ]

    baked = bake(tmp_path, {}, flags=(), typed="\n".join(typed) + "\n")

    for prompt in PROMPTS.values():
        sentence = prompt if isinstance(prompt, str) else prompt["__prompt__"]
        assert sentence in baked.output
    project = tmp_path / "out" / "parcel_desk"
    assert "TIME_ZONE=Asia/Tokyo\n" in (project / ".env").read_text()
    assert "Apache License" in (project / "LICENSE").read_text()
    assert "rabbitmq" in (project / "docker-compose.yml").read_text()


def test_choices_of_the_checks_are_those_of_cookiecutter() -> None:
    assert options()["license"] == list(pre_gen_project.LICENSES)
    assert options()["include_samples"] == list(pre_gen_project.YES_NO)
    assert options()["monitoring"] == list(reversed(pre_gen_project.YES_NO))
    assert options()["deployment"] == list(pre_gen_project.DEPLOYMENTS)
    assert options()["broker"] == list(pre_gen_project.BROKERS)
