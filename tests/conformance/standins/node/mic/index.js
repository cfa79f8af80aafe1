// Stands in for the package `mic`: the recording named by STANDIN_MICROPHONE (a 16 kHz mono WAV)
// is heard at real-time pace, then silence, in pieces as large as the recorder's.
const fs = require('node:fs');
const { Readable } = require('node:stream');

const CHUNK_MS = 100;
const WAV_HEADER = 44;

module.exports = function mic(options) {
  const bytesPerMs = (Number(options.rate) * 2) / 1000;
  const size = CHUNK_MS * bytesPerMs;
  const stream = new Readable({ read() {} });
  let timer;
  return {
    getAudioStream: () => stream,
    start() {
      let sound = fs.readFileSync(process.env.STANDIN_MICROPHONE).subarray(WAV_HEADER);
      const began = Date.now();
      let sent = 0;
      timer = setInterval(() => {
        // Timers may be late; the sound of the time that has passed is there all the same.
        while ((sent + 1) * CHUNK_MS <= Date.now() - began) {
          const chunk = Buffer.alloc(size);
          sound.subarray(0, size).copy(chunk);
          sound = sound.subarray(size);
          stream.push(chunk);
          sent += 1;
        }
      }, 20);
    },
    stop() {
      clearInterval(timer);
      stream.push(null);
    },
  };
};
