// sharp as its documentation recommends: one pipeline for each size with shrink-on-load, a binary search for the quality.
import { mkdtempSync, readFileSync, writeFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { tmpdir } from "node:os";
import sharp from "sharp";

sharp.concurrency(1); // threads cost CPU time; production runs one picture per core
sharp.cache(false);

const LIMITS = {
  original: [4000, 90, 2 * 1024 * 1024],
  moderation: [2048, 85, 1024 * 1024],
  medium: [600, 85, 100 * 1024],
  thumb: [150, 80, 30 * 1024],
};
const FLOOR = 40;

async function encode(raw, quality, cap) {
  const trial = (q) => sharp(raw.data, { raw: raw.info }).jpeg({ quality: q }).toBuffer();
  let data = await trial(quality), trials = 1, low = FLOOR, high = quality - 1;
  if (data.length <= cap) return [data, trials];
  while (low <= high) {
    const middle = (low + high) >> 1;
    const attempt = await trial(middle);
    trials++;
    if (attempt.length <= cap) { data = attempt; low = middle + 1; } else high = middle - 1;
  }
  return [data, trials];
}

function mark(width, height) {
  const size = Math.max(6, Math.round(width / 30));
  const svg = `<svg width="${width}" height="${size * 2}" xmlns="http://www.w3.org/2000/svg"><text x="98%" y="${size * 1.4}"
    font-size="${size}" text-anchor="end" fill="white" fill-opacity="0.5" stroke="black" stroke-opacity="0.3">© Mediagate</text></svg>`;
  return { input: Buffer.from(svg), top: Math.max(0, height - size * 2), left: 0 };
}

async function work(source, folder) {
  let took = 0;
  for (const [name, [edge, quality, cap]] of Object.entries(LIMITS)) {
    let pipeline = sharp(source).autoOrient().resize(edge, edge, { fit: "inside", withoutEnlargement: true });
    if (name === "original") {
      const { width, height } = await sharp(source).metadata();
      const factor = Math.min(1, edge / Math.max(width, height));
      pipeline = pipeline.composite([mark(Math.floor(width * factor), Math.floor(height * factor))]);
    }
    const raw = await pipeline.removeAlpha().raw().toBuffer({ resolveWithObject: true });
    const [data, trials] = await encode(raw, quality, cap);
    took ||= trials;
    writeFileSync(join(folder, `${name}.jpg`), data);
  }
  return took;
}

const scratch = mkdtempSync(join(tmpdir(), "peer-"));
const tiny = join(scratch, "tiny.jpg");
await sharp({ create: { width: 256, height: 256, channels: 3, background: "#888" } }).jpeg().toFile(tiny);
await work(tiny, scratch);
rmSync(scratch, { recursive: true });
const cpu = process.cpuUsage(), wall = performance.now();
const trials = await work(process.argv[2], process.argv[3]);
const used = process.cpuUsage(cpu);
console.log(JSON.stringify({
  cpu: (used.user + used.system) / 1e6,
  wall: (performance.now() - wall) / 1e3,
  rss: Number(/VmHWM:\s*(\d+) kB/.exec(readFileSync("/proc/self/status", "utf8"))[1]) * 1024,
  trials,
  version: `sharp ${sharp.versions.sharp}, libvips ${sharp.versions.vips}`,
}));
