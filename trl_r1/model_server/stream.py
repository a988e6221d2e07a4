"""An answer that a server streams, event by event."""

import asyncio
import json
from typing import Any


async def whole_answer(answer: Any, limit: asyncio.Timeout, seconds: float) -> dict[str, Any]:
    """
    Read a stream of events, and return what the server would have answered in one piece; a `ValueError` where it is cut or
    is not the protocol's. Each line that comes gives the server so many seconds more.
    """
    loop = asyncio.get_running_loop()
    said: dict[str, list[str]] = {"content": [], "reasoning": [], "text": []}
    finish_reason, usage, pieces, ended, rest = None, None, 0, False, b""
    async for part in answer.aiter_bytes():
        *lines, rest = (rest + part).split(b"\n")  # and at nothing else, which a text may hold as it is
        if lines:
            limit.reschedule(loop.time() + seconds)
        for line in lines:
            if not line.startswith(b"data:"):
                continue
            data = line[5:].strip()
            if data == b"[DONE]":
                ended = True
                continue
            event = json.loads(data)
            if not isinstance(event, dict) or event.get("error"):
                raise ValueError(f"an error within the stream: {data[:500].decode(errors='replace')}")
            usage = event.get("usage") or usage
            for choice in (event.get("choices") or [])[:1]:
                finish_reason = choice.get("finish_reason") or finish_reason
                delta = choice.get("delta") or {}
                new = {
                    "content": delta.get("content"),
                    "reasoning": delta.get("reasoning_content") or delta.get("reasoning"),
                    "text": choice.get("text"),
                }
                pieces += any(new.values())
                for name, text in new.items():
                    if text:
                        said[name].append(text)
    if not ended and finish_reason is None:
        raise ValueError("a stream that was cut")
    message = {name: "".join(said[name]) for name in ("content", "reasoning")}
    choice = {"message": message, "text": "".join(said["text"]), "finish_reason": finish_reason}
    # Servers that do not count send a piece for each token.
    return {"choices": [choice], "usage": usage or {"completion_tokens": pieces}}
