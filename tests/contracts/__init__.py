"""What every store must do, written once and run against each of them."""

import pytest

# Before the modules are imported, so that their asserts say what they compared.
for _name in ("artifact_store", "events", "runs", "sessions", "waiting", "wrong_arguments"):
    pytest.register_assert_rewrite(f"{__name__}.{_name}")
