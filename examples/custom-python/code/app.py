"""A FastAPI application as it is: `uvicorn app:app` runs it anywhere."""

import asyncio

from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse, StreamingResponse

app = FastAPI()


@app.get("/")
async def hello() -> dict[str, str]:
    return {"hello": "FastAPI"}


@app.get("/items/{item_id}")
async def item(item_id: int, detail: bool = False) -> dict[str, int | bool]:
    return {"item": item_id, "detail": detail}


@app.get("/ticks")
async def ticks() -> StreamingResponse:
    async def events():
        for tick in range(1, 6):
            yield f"data: tick {tick}\n\n"
            await asyncio.sleep(0.1)

    return StreamingResponse(events(), media_type="text/event-stream")


@app.post("/invoke", response_class=PlainTextResponse)
async def invoke(request: Request) -> str:
    """Events: what `thaw invoke` and triggers send."""
    event = await request.body()
    print(f"event of {len(event)} bytes", flush=True)
    return f"FastAPI got {event.decode()}\n"
