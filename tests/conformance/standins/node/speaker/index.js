// Stands in for the package `speaker`: appends what is played to the file STANDIN_SPEAKER, and
// takes sound no faster than a device would, which keeps a buffer of two times 1024 frames.
const fs = require('node:fs');
const { Writable } = require('node:stream');

const BUFFER_MS = (2 * 1024 * 1000) / 24000;
let playingUntil = 0;

module.exports = class Speaker extends Writable {
  constructor(options) {
    super();
    this.bytesPerMs = (options.sampleRate * options.channels * options.bitDepth) / 8 / 1000;
  }

  _write(chunk, _encoding, done) {
    fs.appendFileSync(process.env.STANDIN_SPEAKER, chunk);
    playingUntil = Math.max(playingUntil, Date.now()) + chunk.length / this.bytesPerMs;
    const room = playingUntil - Date.now() - BUFFER_MS;
    if (room > 0) setTimeout(done, room);
    else done();
  }
};
