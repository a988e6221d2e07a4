import pytest

from tests.hub.hub_stand_in import GOOD_TOKEN, HubStandIn


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """The stand-in, with huggingface_hub's real client pointed at it."""
    from huggingface_hub import constants
    from huggingface_hub.utils import _http, disable_progress_bars

    disable_progress_bars()
    with HubStandIn() as stand_in:
        # The client reads its environment once, at import, and another test may have imported it.
        monkeypatch.setattr(constants, "ENDPOINT", stand_in.url)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)  # the stand-in is no network
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
        monkeypatch.setenv("HF_TOKEN", GOOD_TOKEN)
        # It waits up to 8 seconds between its five attempts.
        monkeypatch.setattr(_http.time, "sleep", lambda seconds: None)
        yield stand_in
