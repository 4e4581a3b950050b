"""What all encoders share: settings that build them again, also inside a recommender."""

import pytest

from hashloom import catalogue
from hashloom.recommenders.simple import Simple


@pytest.mark.parametrize("name", catalogue.names("encoders"))
def test_settings_build_the_same_encoder(name: str) -> None:
    encoder = catalogue.find("encoders", name)()
    assert catalogue.build(catalogue.settings(encoder)) == encoder
    held = Simple(tokens=encoder) if name == "tokens" else Simple(encoder=encoder)
    assert catalogue.build(held.settings()) == held
