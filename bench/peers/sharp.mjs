// sharp, in two styles. As its documentation recommends: a pipeline from the file for every size, with shrink-on-load, and
// its own defaults (optimised Huffman tables). With --tuned, as one who profiles it writes: the file is decoded once, each
// size is made of the next larger one, only the rows under the mark are composited, and trials do without optimised tables.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";

sharp.concurrency(1); // threads cost CPU time; production runs one picture per core
sharp.cache(false);

// The same as in protocol.py.
const LIMITS = {
  original: [4000, 90, 2 * 1024 * 1024],
  moderation: [2048, 85, 1024 * 1024],
  medium: [600, 85, 100 * 1024],
  thumb: [150, 80, 30 * 1024],
};
const [MARKED, TEXT, LOWEST] = ["original", "© Mediagate", 40];
const TUNED = process.argv.includes("--tuned");

const open = (raw) => sharp(raw.data, { raw: raw.info });
const pixels = (pipeline) => pipeline.removeAlpha().raw().toBuffer({ resolveWithObject: true });

async function encode(raw, quality, cap) {
  const trial = (q) => open(raw).jpeg({ quality: q, chromaSubsampling: "4:2:0", optimiseCoding: !TUNED }).toBuffer();
  let data = await trial(quality), trials = 1, low = LOWEST, high = quality - 1, fits = null;
  if (data.length <= cap) return [data, trials];
  while (low <= high) {
    const middle = (low + high) >> 1;
    data = await trial(middle);
    trials++;
    if (data.length <= cap) { fits = data; low = middle + 1; } else high = middle - 1;
  }
  return [fits ?? data, trials];
}

async function marked(raw) {
  const { width, height, channels } = raw.info, size = Math.max(1, Math.round(width / 30)), rows = Math.min(height, size * 2);
  const svg = Buffer.from(`<svg width="${width}" height="${rows}" xmlns="http://www.w3.org/2000/svg">
    <text x="98%" y="70%" font-size="${size}" text-anchor="end" fill="white" fill-opacity="0.5"
    stroke="black" stroke-opacity="0.3">${TEXT}</text></svg>`);
  const top = height - rows;
  if (!TUNED) return pixels(open(raw).composite([{ input: svg, top, left: 0 }]));
  const start = top * width * channels, strip = { data: raw.data.subarray(start), info: { ...raw.info, height: rows } };
  const under = await pixels(open(strip).composite([{ input: svg, top: 0, left: 0 }]));
  const data = Buffer.from(raw.data);
  under.data.copy(data, start);
  return { data, info: raw.info };
}

async function work(source, folder) {
  const took = {};
  let raw = null;
  for (const [name, [edge, quality, cap]] of Object.entries(LIMITS)) {
    const larger = TUNED && raw ? open(raw) : sharp(source).autoOrient();
    raw = await pixels(larger.resize(edge, edge, { fit: "inside", withoutEnlargement: true }));
    const [data, trials] = await encode(name === MARKED ? await marked(raw) : raw, quality, cap);
    took[name] = trials;
    writeFileSync(join(folder, `${name}.jpg`), data);
  }
  return took[MARKED];
}

function peak() {
  const status = "/proc/self/status";
  if (!existsSync(status)) return process.resourceUsage().maxRSS * 1024;
  return Number(/VmHWM:\s*(\d+) kB/.exec(readFileSync(status, "utf8"))[1]) * 1024;
}

const scratch = mkdtempSync(join(tmpdir(), "peer-"));
const tiny = join(scratch, "tiny.jpg");
await sharp({ create: { width: 256, height: 256, channels: 3, background: "#888" } }).jpeg().toFile(tiny);
await work(tiny, scratch);
rmSync(scratch, { recursive: true });
const baseline = peak(), cpu = process.cpuUsage(), wall = performance.now();
const trials = await work(process.argv[2], process.argv[3]);
const used = process.cpuUsage(cpu);
console.log(JSON.stringify({
  cpu: (used.user + used.system) / 1e6,
  wall: (performance.now() - wall) / 1e3,
  rss: peak(),
  baseline_rss: baseline,
  trials,
  version: `sharp ${sharp.versions.sharp}, libvips ${sharp.versions.vips}`,
}));
