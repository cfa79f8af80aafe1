"""Go on talking while a slow function runs, and get its result once the model is idle.

vivavoce run -- python examples/slow_tool.py
"""

import asyncio

from google import genai
from google.genai import types

MODEL = "gemini-2.5-flash-native-audio-preview-12-2025"
ORDER: types.FunctionDeclarationDict = {
    "name": "order_pizza",
    "description": "Order a pizza.",
    "behavior": types.Behavior.NON_BLOCKING,
}
CONFIG: types.LiveConnectConfigDict = {
    "response_modalities": [types.Modality.AUDIO],
    "output_audio_transcription": {},
    "tools": [{"function_declarations": [ORDER]}],
}
WORK_S = 3.0


async def main() -> None:
    async with genai.Client().aio.live.connect(model=MODEL, config=CONFIG) as session:

        async def ask(words: str) -> None:
            print("you:", words)
            await session.send_client_content(turns={"parts": [{"text": words}]})

        async def work(call: types.FunctionCall) -> None:
            await asyncio.sleep(WORK_S)
            print("(the pizza is ordered)")
            answer = types.FunctionResponse(
                id=call.id,
                name=call.name,
                response={"result": "The pizza will be here in twenty minutes."},
                scheduling=types.FunctionResponseScheduling.WHEN_IDLE,
            )
            await session.send_tool_response(function_responses=answer)

        async def listen() -> list[types.FunctionCall]:
            said, calls = "", list[types.FunctionCall]()
            async for message in session.receive():
                content = message.server_content
                if content and content.output_transcription:
                    said += content.output_transcription.text or ""
                if message.tool_call:
                    calls += message.tool_call.function_calls or []
            if said:
                print("model:", said.strip())
            return calls

        await ask("Order pizza, please.")
        working = [asyncio.create_task(work(call)) for call in await listen()]
        await ask("Good day.")
        await listen()
        await asyncio.gather(*working)
        await listen()


if __name__ == "__main__":
    asyncio.run(main())
