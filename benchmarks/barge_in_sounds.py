"""Labelled sounds for `benchmarks/barge_in.py`: what a microphone picks up while an answer plays.

Each `Clip` is a sound at 16 kHz that begins with its first audible sample, and the kind that says
what is right: `interruption` must cut the answer, all others must not. Speech is synthesized in
voices other than the answer's; back-channels that are hums, and all noises, are made of pulses and
filtered noise. Half of the texts and of the noises are for choosing parameters (`choosing`), the
other half for the report.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle

import numpy as np
import soxr
from numpy.typing import NDArray

from vivavoce.domain.audio import INPUT_RATE, OUTPUT_RATE, samples

Sound = NDArray[np.float64]
Speaker = Callable[[str, str], Sound]
"""Returns a text in a voice, at 16 kHz."""

USER_DB = -22.0
"""Level of the user's voice, RMS below full scale."""

VOICES = ("Puck", "Kore", "Charon", "Aoede", "Fenrir", "Leda", "Orus", "Zephyr", "Sulafat")
ANSWERING = "Iapetus"

INTERRUPTIONS = (
    "Stop.", "Wait.", "No.", "Hold on a second.", "No, I meant the other one.",
    "Wait, what did you say?", "That's not what I asked.", "Sorry, can I interrupt you?",
    "Actually, never mind.", "Can you repeat that?", "What about tomorrow?",
    "How much does it cost?", "Okay stop, that's enough.", "Yeah but that is too expensive.",
    "Excuse me, I have a question.", "I don't need all of that.",
    "Please talk about something else.",
    "Thank you, that's enough.", "Which one is cheaper?", "Let me ask you something else.",
    "Cancel that, please.", "Be quiet.", "Are you sure?", "Right, and who built it?",
    "Hang on, I need to write this down.", "But why?", "Turn off the lights.", "Go back a little.",
    "Well, I don't think so.", "My brother lives there.", "Skip this part.", "Could you speak up?",
    "When does it open?", "Not that one, the first one.", "Shut up.",
    "Listen, I only need the address.",
    "Is it far from here?", "You already told me that.",
    "I would rather take the train.", "Why not?",
)  # fmt: skip

BACK_CHANNELS = (
    "Yeah.", "Okay.", "Right.", "Uh-huh.", "Oh.", "I see.", "Sure.", "Yes.", "Yep.", "Got it.",
    "Ah okay.", "Oh wow.", "Yeah yeah.", "All right.", "Of course.", "Oh really.", "Good.",
    "Great.",
    "Nice.", "Okay okay.", "Yeah, right.", "Exactly.", "Ah.", "Cool.", "Oh yeah.", "True.",
    "Yes, okay.", "Interesting.", "Oh I see.", "Hmm.",
)  # fmt: skip

FAR = (
    "Did you put the kettle on already?", "The children are coming home at five.",
    "I left your keys on the kitchen table.", "Have you seen my glasses anywhere?",
    "Somebody is at the front door.", "We should go shopping before it rains.",
    "He said that he would call you later.", "Where did you park the car this morning?",
    "It was on the news last night.", "Dinner is going to be ready in ten minutes.",
    "You know what she told me yesterday?", "I am going upstairs to have a shower.",
)  # fmt: skip

ANSWERS = (
    "The lighthouse stands on a rock about two miles from the harbor. It was built of granite "
    "in the last century, and a family of keepers lived in it for sixty years. Boats go out to "
    "it in the summer, and from the gallery you can see both islands.",
    "A good soup begins with onions, which you cook slowly in butter until they are soft and "
    "golden. Then you add carrots, celery and potatoes, and cover everything with stock. Let it "
    "simmer for forty minutes before you season it with salt and pepper.",
    "The museum has four floors, and most visitors begin at the top. There you find paintings "
    "from the north, and below them a collection of clocks and instruments. The ground floor "
    "belongs to the garden, which is open until six in the evening.",
    "Bees find their way home by the position of the sun, and on cloudy days by the light of "
    "the sky. When a bee has found flowers, she tells the others with a dance on the comb. The "
    "direction of the dance shows where to fly, and its length how far.",
)  # fmt: skip
"""What the model says, about 14 s each."""

QUESTION = "Please tell me something about that."


@dataclass(frozen=True, slots=True)
class Clip:
    """A labelled sound, and the answer that it meets `at_s` seconds after that began to play.

    `choosing`: parameters may be chosen by it. `echo_db`: how loud the answer itself is in the
    microphone, relative to the user; none without.
    """

    kind: str
    name: str
    sound: Sound
    answer: int
    at_s: float
    choosing: bool
    echo_db: float | None = None


def labelled_clips(speak: Speaker) -> Iterator[Clip]:
    """Yield every clip, in an order that is always the same."""
    random = np.random.default_rng(12)
    made = 0

    def clip(kind: str, name: str, sound: Sound, at: int, echo_db: float | None = None) -> Clip:
        nonlocal made
        made += 1
        begins = float(random.uniform(1.5, 5.0))
        return Clip(kind, name, audible(sound), made % len(ANSWERS), begins, at % 2 == 0, echo_db)

    voices = cycle(VOICES)
    for at, text in enumerate(INTERRUPTIONS):
        for _ in range(2):
            yield clip("interruption", text, leveled(speak(text, next(voices)), USER_DB), at)
    for at, text in enumerate(INTERRUPTIONS):
        spoken = leveled(speak(text, next(voices)), USER_DB)
        yield clip("interruption over echo", text, spoken, at, echo_db=-20.0)
    for at, text in enumerate(BACK_CHANNELS):
        for _ in range(2):
            level = USER_DB - random.uniform(0, 6)
            yield clip("back-channel", text, leveled(speak(text, next(voices)), level), at)
    for at in range(12):
        pitch, twice = 95.0 + 12 * at, at % 3 != 0
        level = USER_DB - random.uniform(0, 6)
        yield clip("back-channel", "mhm" if twice else "mm", leveled(hum(pitch, twice), level), at)
    for name, make in NOISES.items():
        for at in range(6):
            level = USER_DB + random.uniform(-10, 4)
            yield clip(name, f"{name} {at}", leveled(make(random), level), at)
    for at, text in enumerate(FAR):
        distant = reverberant(speak(text, next(voices)), random)
        yield clip("far voice", text, leveled(distant, USER_DB - random.uniform(15, 24)), at)
    for at in range(12):
        echo_db = -random.uniform(8, 24)
        yield clip("echo", f"echo {echo_db:.0f} dB", np.zeros(samples(4.0)), at, echo_db)


# --- levels and rooms ------------------------------------------------------------------------


def leveled(sound: Sound, db: float) -> Sound:
    """Return the sound with its loud part (the loudest half of its energy frames) at `db`."""
    frames = np.array_split(sound, max(1, len(sound) // 320))
    powers = sorted((float(np.mean(f**2)) for f in frames), reverse=True)
    loud = float(np.mean(powers[: max(1, len(powers) // 2)]))
    return sound * (10 ** (db / 20) / np.sqrt(loud)) if loud > 0 else sound


def audible(sound: Sound) -> Sound:
    """Return the sound from its first sample within 35 dB of its peak."""
    if not len(sound) or not sound.any():
        return sound
    level = np.sqrt(np.convolve(sound**2, np.ones(80) / 80, mode="same"))
    return sound[int(np.argmax(level > level.max() * 10 ** (-35 / 20))) :]


def reverberant(sound: Sound, random: np.random.Generator, rt60_s: float = 0.6) -> Sound:
    """Return the sound as it is heard from the next room: late, diffuse and dull."""
    size = samples(rt60_s)
    decay = random.standard_normal(size) * 10 ** (-3 * np.arange(size) / size)
    decay[0] += 4.0
    return _band(np.convolve(sound, decay), 60, 2500)


def echo_of(answer: Sound, db: float) -> Sound:
    """Return what a loudspeaker and a canceler leave of an answer in the microphone."""
    return leveled(np.tanh(4 * _band(answer, 300, 3400)), USER_DB + db)


def at_input_rate(pcm: bytes) -> Sound:
    """Return synthesized PCM as the microphone would have it."""
    sound = np.frombuffer(pcm, dtype="<i2").astype(np.float64) / 32768
    return np.asarray(soxr.resample(sound, OUTPUT_RATE, INPUT_RATE))


# --- sounds without words ------------------------------------------------------------------------


def _noise(random: np.random.Generator, duration_s: float) -> Sound:
    return random.standard_normal(samples(duration_s))


def _decay(duration_s: float, half_s: float) -> Sound:
    return np.asarray(0.5 ** (np.arange(samples(duration_s)) / samples(half_s)))


def _band(sound: Sound, low: float, high: float) -> Sound:
    """Return what of a sound lies between two frequencies, with slopes of 12 dB an octave."""
    frequency = np.fft.rfftfreq(len(sound), 1 / INPUT_RATE) + 1e-9
    gain = 1 / np.sqrt((1 + (low / frequency) ** 4) * (1 + (frequency / high) ** 4))
    return np.fft.irfft(np.fft.rfft(sound) * gain, len(sound))


def _dull(sound: Sound, pole: float) -> Sound:
    """Return pulses with the falling spectrum of a voice: a filter with one pole."""
    response = np.asarray(pole ** np.arange(400))
    return np.convolve(sound, response)[: len(sound)]


def _pulses(pitch: Sound) -> Sound:
    """Return a pulse at each period of a pitch given for every sample."""
    phase = np.cumsum(pitch / INPUT_RATE)
    return np.diff(np.floor(phase), prepend=0.0)


def hum(pitch: float, twice: bool) -> Sound:
    """Return "mm", or "mhm" where it sounds `twice`: a closed mouth, no words."""
    size = samples(0.42 if twice else 0.35)
    at = np.linspace(0, 1, size)
    rise = 1 + (0.25 if twice else -0.1) * at
    envelope = np.sin(np.pi * at) ** 0.5
    if twice:
        envelope *= 1 - 0.93 * np.exp(-(((at - 0.45) / 0.07) ** 2))
    voice = _dull(_pulses(pitch * rise), 0.97)
    return (_band(voice, 90, 420) + 0.15 * _band(voice, 900, 1400)) * envelope


def cough(random: np.random.Generator) -> Sound:
    """Return one or two bursts of noise with a voiced end."""
    bursts = []
    for _ in range(int(random.integers(1, 3))):
        size = random.uniform(0.18, 0.32)
        burst = _band(_noise(random, size), 500, 3500) * _decay(size, 0.05)
        tone = _pulses(np.full(len(burst), random.uniform(110, 220)))
        voice = _band(_dull(tone, 0.9), 300, 1500)
        bursts += [burst + 0.8 * voice * _decay(size, 0.07), np.zeros(samples(0.12))]
    return np.concatenate(bursts)


def throat(random: np.random.Generator) -> Sound:
    """Return the clearing of a throat: rough and low."""
    size = random.uniform(0.3, 0.6)
    wobble = random.uniform(70, 110) * (1 + 0.15 * _band(_noise(random, size), 5, 40))
    voice = _dull(_pulses(np.abs(wobble)), 0.9)
    rough = _band(voice, 200, 1200) + 0.2 * _band(_noise(random, size), 600, 3000)
    return rough * np.hanning(len(rough))


def laugh(random: np.random.Generator) -> Sound:
    """Return "ha ha ha"."""
    pitch = random.uniform(130, 260)
    has = []
    for n in range(int(random.integers(3, 6))):
        size = 0.16
        tone = _dull(_pulses(np.full(samples(size), pitch * (1 - 0.05 * n))), 0.95)
        vowel = _band(tone, 600, 1300) + 0.5 * _band(tone, 150, 500)
        breath = 0.1 * _band(_noise(random, size), 1000, 4000)
        has += [(vowel / (np.abs(vowel).max() + 1e-9) + breath) * np.hanning(samples(size))]
    return np.concatenate(has)


def sneeze(random: np.random.Generator) -> Sound:
    """Return a voiced intake and a burst of noise."""
    tone = _pulses(np.linspace(180, 260, samples(0.25)))
    intake = _band(_dull(tone, 0.95), 300, 1500)
    burst = _band(_noise(random, 0.3), 1500, 6000) * _decay(0.3, 0.08)
    return np.concatenate([intake / (np.abs(intake).max() + 1e-9) * 0.3, burst])


def door(random: np.random.Generator) -> Sound:
    """Return a thud and the rattle of a latch."""
    thud = _band(_noise(random, 0.4), 40, 250) * _decay(0.4, 0.06) * 6
    latch = _band(_noise(random, 0.4), 1500, 5000) * _decay(0.4, 0.012)
    return thud + np.roll(latch, samples(random.uniform(0.03, 0.15)))


def keyboard(random: np.random.Generator) -> Sound:
    """Return two seconds of typing."""
    typed = np.zeros(samples(2.0))
    for at in np.cumsum(random.uniform(0.06, 0.25, 14)):
        key = _band(_noise(random, 0.05), 800, 6000) * _decay(0.05, 0.006)
        begin = samples(float(at))
        end = min(begin + len(key), len(typed))
        typed[begin:end] += key[: max(0, end - begin)] * random.uniform(0.4, 1)
    return typed


def chair(random: np.random.Generator) -> Sound:
    """Return a chair that is drawn over a floor: a wavering squeak."""
    size = random.uniform(0.5, 1.0)
    wobble = random.uniform(250, 500) * (1 + 0.2 * _band(_noise(random, size), 3, 30))
    squeak = _band(_pulses(np.abs(wobble)), 400, 4000)
    return (squeak + 0.3 * _band(_noise(random, size), 200, 3000)) * np.hanning(samples(size))


def glass(random: np.random.Generator) -> Sound:
    """Return a glass that is put down: a ringing tone."""
    at = np.arange(samples(0.6)) / INPUT_RATE
    tones = sum(np.sin(2 * np.pi * f * at) for f in random.uniform(1500, 5000, 4))
    return np.asarray(tones * _decay(0.6, 0.08))


def breath(random: np.random.Generator) -> Sound:
    """Return a sigh into the microphone."""
    size = random.uniform(0.6, 1.2)
    return _band(_noise(random, size), 200, 3000) * np.hanning(samples(size))


NOISES: dict[str, Callable[[np.random.Generator], Sound]] = {
    "cough": cough,
    "throat": throat,
    "laugh": laugh,
    "sneeze": sneeze,
    "door": door,
    "keyboard": keyboard,
    "chair": chair,
    "glass": glass,
    "breath": breath,
}
