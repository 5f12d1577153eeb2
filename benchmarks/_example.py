"""What is carried wherever something is compared."""

from __future__ import annotations

from ports import Session

__all__ = ["example"]


def example() -> Session:
    """A session as users have them: small."""
    return Session(
        agent_id="my-agent",
        status="active",
        metadata={"title": "a conversation", "turns": 3},
        context={"cwd": "/srv/agent", "model": "large"},
        tags=["bench", "example"],
    )
