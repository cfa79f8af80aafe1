"""Ask about your own documents, and print the sources of each sentence of the answer.

vivavoce index examples/documents
vivavoce run -- python examples/grounding.py "When did the last Brazil vs. Argentina match happen?"
"""

import asyncio
import sys

from google import genai
from google.genai import types

MODEL = "gemini-2.5-flash-native-audio-preview-12-2025"
QUESTION = "What was the largest earthquake in California the week of Dec 5 2024?"
CONFIG: types.LiveConnectConfigDict = {
    "response_modalities": [types.Modality.AUDIO],
    "output_audio_transcription": {},
    "tools": [{"google_search": {}}],
}


def show(grounding: types.GroundingMetadata, answer: bytes) -> None:
    """Print the queries, and the sources of each supported stretch of the answer."""
    print("searched:", ", ".join(grounding.web_search_queries or []))
    sources = [chunk.web for chunk in grounding.grounding_chunks or [] if chunk.web]
    for support in grounding.grounding_supports or []:
        segment = support.segment or types.Segment()
        # Offsets count bytes of the whole transcript.
        cited = answer[segment.start_index or 0 : segment.end_index].decode()
        titles = [sources[place].title for place in support.grounding_chunk_indices or []]
        print(f"cited: {cited}\n    from {', '.join(map(str, titles))}")


async def main() -> None:
    question = sys.argv[1] if len(sys.argv) > 1 else QUESTION
    async with genai.Client().aio.live.connect(model=MODEL, config=CONFIG) as session:
        await session.send_client_content(turns={"parts": [{"text": question}]})
        answer = ""
        async for message in session.receive():
            content = message.server_content
            if content and content.output_transcription:
                answer += content.output_transcription.text or ""
            if content and content.grounding_metadata:
                print("answer:", " ".join(answer.split()))
                show(content.grounding_metadata, answer.encode())


if __name__ == "__main__":
    asyncio.run(main())
