// The agent of the browser: it reads a job, runs model files in WebAssembly and posts what it measured as JSON lines.
// Same jobs and same events as the agent's (agent/agent.py). Addresses are relative to the page: ./job, ./events, ./files/NAME, ./modules/...

const FEEDS = 16; // samples that the timed loop cycles through
const GROUP_US = 200; // the clock ticks every 5 us: shorter inferences are timed in groups this long
const MOST_IN_BLOCK = 500; // inferences
const WINDOW_MS = 100;
const TOLERANCE = 0.03;
const WINDOWS = 10;

class Rejected extends Error {} // the runtime cannot run the model
class Unavailable extends Error {} // the device lacks what the job needs

// ---- Model files behind one small interface: inputs, set, invoke, get

const RUNTIMES = {
  "litert.js": {
    module: "@litertjs/core",
    async start(threads) {
      const library = await import("./modules/@litertjs/core/dist/index.js");
      const wasm = new URL("./modules/@litertjs/core/wasm/", location.href).href;
      await library.loadLiteRt(wasm, { threads: threads > 1 });
      return library;
    },
    async open(library, bytes, spec) {
      if (spec.stateful) throw new Rejected("LiteRT.js cannot reset the state that the file keeps between inferences");
      const options = { accelerator: "wasm", cpuOptions: { numThreads: spec.threads } };
      const model = await library.loadAndCompile(bytes, options);
      const describe = ({ name, dtype, shape }) => ({ name, dtype, shape: Array.from(shape) });
      const inputs = model.getInputDetails().map(describe);
      let tensors = [];
      let results = [];
      const release = (all) => all.splice(0).forEach((tensor) => tensor.delete());
      return {
        inputs,
        outputs: model.getOutputDetails().map(describe),
        set(arrays) {
          release(tensors);
          tensors = arrays.map((array, i) => new library.Tensor(array, inputs[i].shape));
        },
        async invoke() {
          results = await model.run(tensors);
        },
        clear: () => release(results),
        get: (i) => results[i].toTypedArray(),
      };
    },
  },
  "onnxruntime-web": {
    module: "onnxruntime-web",
    async start(threads) {
      const library = await import("./modules/onnxruntime-web/dist/ort.wasm.min.mjs");
      library.env.wasm.wasmPaths = new URL("./modules/onnxruntime-web/dist/", location.href).href;
      library.env.wasm.numThreads = threads;
      library.env.logLevel = "error";
      return library;
    },
    async open(library, bytes) {
      const session = await library.InferenceSession.create(bytes, { executionProviders: ["wasm"] });
      const describe = ({ name, type, shape }) => ({
        name, dtype: type, shape: shape.map((size) => (typeof size === "number" ? size : 1)),
      });
      const inputs = session.inputMetadata.map(describe);
      let feeds = {};
      let results = {};
      return {
        inputs,
        outputs: session.outputMetadata.map(describe),
        set(arrays) {
          feeds = Object.fromEntries(
            inputs.map(({ name, dtype, shape }, i) => [name, new library.Tensor(dtype, arrays[i], shape)]),
          );
        },
        async invoke() {
          results = await session.run(feeds);
        },
        clear() {},
        get: (i) => results[session.outputNames[i]].data,
      };
    },
  },
};

const started = new Map(); // runtime -> its library

async function open(spec) {
  const runtime = RUNTIMES[spec.runtime];
  if (!runtime) throw new Unavailable(`the browser has no ${spec.runtime}`);
  if (Object.keys(spec.states || {}).length) throw new Unavailable("files with states are not run in a browser");
  const bytes = await fetchBytes(spec.path);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const hex = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (hex !== spec.sha256) throw new Unavailable("the file in the browser is not the one that was sent (sha256 differs)");
  if (!started.has(spec.runtime)) started.set(spec.runtime, await runtime.start(spec.threads));
  return refusing(() => runtime.open(started.get(spec.runtime), bytes, spec));
}

// Whatever a runtime throws is its refusal of the model, but for a trap: that is a crash.
async function refusing(work) {
  try {
    return await work();
  } catch (error) {
    if (error instanceof WebAssembly.RuntimeError || error instanceof Rejected) throw error;
    throw new Rejected(`${error?.name ?? "Error"}: ${String(error?.message ?? error).split("\n")[0]}`);
  }
}

// ---- Samples in, float values out

const ARRAYS = {
  float32: Float32Array, float64: Float64Array, int32: Int32Array, int64: BigInt64Array, int8: Int8Array,
  uint8: Uint8Array, bool: Uint8Array,
};
const DESCRIPTIONS = {
  "<f4": "float32", "<f8": "float64", "<i4": "int32", "<i8": "int64", "|i1": "int8", "|u1": "uint8", "|b1": "bool",
};

function parseNpy(bytes) {
  const view = new DataView(bytes.buffer);
  const long = bytes[6] > 1;
  const start = long ? 12 : 10;
  const end = start + (long ? view.getUint32(8, true) : view.getUint16(8, true));
  const header = new TextDecoder().decode(bytes.subarray(start, end));
  const dtype = DESCRIPTIONS[header.match(/'descr': '([^']+)'/)?.[1]];
  if (!dtype || !header.includes("'fortran_order': False")) throw new Unavailable(`samples of the kind ${header}`);
  const shape = header.match(/'shape': \(([^)]*)\)/)[1].split(",").filter((size) => size.trim()).map(Number);
  return { dtype, shape, values: new ARRAYS[dtype](bytes.buffer.slice(end)) };
}

function writeNpy(values, shape) {
  const words = `{'descr': '<f4', 'fortran_order': False, 'shape': (${shape.join(", ")},), }`;
  const header = words.padEnd(Math.ceil((10 + words.length + 1) / 64) * 64 - 11) + "\n";
  const head = new Uint8Array(10 + header.length);
  head.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, header.length & 255, header.length >> 8]);
  head.set(new TextEncoder().encode(header), 10);
  return new Blob([head, values]);
}

class Samples {
  constructor(arrays, model) {
    const names = Object.keys(arrays);
    this.tensors = model.inputs;
    this.arrays = model.inputs.map(({ name }) => matching(arrays, name));
    if (this.arrays.length !== names.length) {
      throw new Rejected(`the model has ${model.inputs.length} inputs, the samples ${names.length}`);
    }
    this.tensors.forEach(({ name, shape }, i) => {
      const sample = [1, ...this.arrays[i].shape.slice(1)];
      if (String(sample) !== String(shape)) {
        throw new Rejected(`input '${name}' takes shape [${shape}], a sample has [${sample}]`);
      }
    });
    this.length = this.arrays[0].shape[0];
  }

  at(i) {
    return this.arrays.map(({ values, dtype, shape }, k) => {
      const size = shape.slice(1).reduce((a, b) => a * b, 1);
      return converted(values.subarray(i * size, (i + 1) * size), dtype, this.tensors[k]);
    });
  }
}

function matching(arrays, name) {
  if (Object.keys(arrays).join() === "") return arrays[""];
  const plain = name.replace(/^serving_default_|:\d+$/g, "");
  const found = arrays[name] ?? arrays[plain];
  if (!found) throw new Rejected(`no samples for input '${plain}'; there are samples for ${Object.keys(arrays)}`);
  return found;
}

function converted(values, dtype, tensor) {
  if (dtype === tensor.dtype) return values.slice();
  if (dtype.startsWith("float") && !tensor.dtype.startsWith("float")) {
    throw new Rejected(`input '${tensor.name}' takes ${tensor.dtype} and gives no scale for float samples`);
  }
  const cast = tensor.dtype === "int64" ? BigInt : Number;
  return ARRAYS[tensor.dtype].from(values, cast);
}

// ---- The modes

async function probe(job) {
  const versions = Object.entries(RUNTIMES).map(async ([name, { module }]) => [name, await version(module)]);
  await say("probe", {
    runtimes: Object.fromEntries(await Promise.all(versions)), features: [],
    memory_bytes: navigator.deviceMemory ? navigator.deviceMemory * 2 ** 30 : null,
    isolated: crossOriginIsolated,
  });
}

async function inspect(job) {
  const { inputs, outputs } = await open(job.models[0]);
  const tensors = (all) => all.map((tensor) => ({ ...tensor, free: [], scale: null, zero_point: null }));
  await say("model", {
    inputs: tensors(inputs), outputs: tensors(outputs), layers: [], stateful: false, partitions: null,
    quantized_ops: null, float_ops: null,
  });
}

async function profile() {
  await say("profile", { rows: null, reason: "the browser's runtimes do not say how long operators take" });
}

async function accuracy(job) {
  const arrays = await fetchArrays(job.inputs);
  let started = performance.now();
  const model = await open(job.models[0]);
  const loadUs = 1000 * (performance.now() - started);
  const samples = new Samples(arrays, model);
  let outputs;
  let firstUs;
  let said = performance.now();
  for (let i = 0; i < samples.length; i++) {
    const values = await refusing(async () => {
      model.set(samples.at(i));
      started = performance.now();
      await model.invoke();
      firstUs ??= 1000 * (performance.now() - started);
      return Float32Array.from(model.get(job.output ?? 0), Number);
    });
    model.clear();
    outputs ??= new Float32Array(samples.length * values.length);
    outputs.set(values, i * values.length);
    if (performance.now() - said > 500) {
      said = performance.now();
      await say("progress", { done: i + 1, total: samples.length });
    }
  }
  const shape = model.outputs[job.output ?? 0].shape;
  const rest = shape[0] === 1 ? shape.slice(1) : shape;
  await post(job.outputs, writeNpy(outputs, [samples.length, ...rest]));
  await say("accuracy", { n: samples.length, load_us: loadUs, first_us: firstUs, peak_ram_bytes: null });
}

async function latency(job) {
  const arrays = await fetchArrays(job.inputs);
  const random = generator(job.seed ?? 0);
  const timed = [];
  for (const [index, spec] of job.models.entries()) {
    await say("load", { model: index });
    const model = await open(spec);
    const samples = new Samples(arrays, model);
    const feeds = Array.from({ length: Math.min(FEEDS, samples.length) }, (_, i) => samples.at(i));
    timed.push({ model, feeds, count: 1, group: 1 });
    // Before the next file is loaded: of files loaded in a row without running, LiteRT.js 2.5 ran most seven times slower
    // for as long as the page lived (lenet5, measured), as if their buffers moved at each inference.
    await refusing(() => runTimed(timed.at(-1), FEEDS));
  }
  for (const [index, each] of timed.entries()) {
    const stable = await warmUp(each, job.block_us);
    await say("warm", { model: index, stable, block: each.count, group: each.group });
  }
  await say("rounds", { pinned: null, reload: false });
  const begun = performance.now();
  const elapsed = () => (performance.now() - begun) / 1000;
  await say("telemetry", { t: 0 });
  const medians = [];
  while (!enough(medians, elapsed(), job, random)) {
    const row = [];
    for (const index of shuffled(timed.length, random)) {
      const us = await block(timed[index]);
      row[index] = median(us);
      await say("block", { model: index, round: medians.length, t: elapsed(), us });
    }
    medians.push(row);
  }
  await say("telemetry", { t: elapsed() });
}

async function warmUp(timed, blockUs) {
  let [typical, previous] = [0, 0];
  for (let i = 0; i < WINDOWS; i++) {
    const times = [];
    const end = performance.now() + WINDOW_MS;
    while (!times.length || performance.now() < end) times.push(...(await runTimed(timed, 1)));
    [typical, previous] = [Math.max(median(times), 1), typical];
    timed.group = Math.max(1, Math.round(GROUP_US / typical));
    if (Math.abs(typical - previous) < TOLERANCE * typical) break;
  }
  timed.count = Math.min(MOST_IN_BLOCK, Math.max(5, Math.round(blockUs / (typical * timed.group))));
  return Math.abs(typical - previous) < TOLERANCE * typical;
}

async function block(timed) {
  await runTimed(timed, 2);
  return runTimed(timed, timed.count);
}

// Microseconds of one inference, each the mean over a group; placing the sample is not timed.
async function runTimed({ model, feeds, group }, count) {
  const times = [];
  for (let i = 0; i < count; i++) {
    model.set(feeds[i % feeds.length]);
    let total = 0;
    const started = performance.now();
    for (let k = 0; k < group; k++) {
      await model.invoke();
      if (k + 1 < group) model.clear();
    }
    total = performance.now() - started;
    model.clear();
    times.push((1000 * total) / group);
  }
  return times;
}

function enough(medians, seconds, job, random) {
  const rounds = medians.length;
  if (rounds >= job.max_rounds || (seconds > job.max_seconds && rounds >= Math.min(10, job.min_rounds))) return true;
  return rounds >= job.min_rounds && rounds % 10 === 0 && precise(medians, job, random);
}

// True when the interval of every pair's speed-up is narrow enough, with a tenth to spare for this rough estimate.
function precise(medians, job, random) {
  if (!job.precision) return false;
  return (job.pairs ?? []).every(([candidate, baseline]) => {
    const ratios = medians.map((row) => row[baseline] / row[candidate]);
    const draw = () => median(ratios.map(() => ratios[Math.floor(random() * ratios.length)]));
    const drawn = Array.from({ length: 400 }, draw).sort((a, b) => a - b);
    return (drawn[389] - drawn[10]) / 2 <= 0.9 * job.precision * median(ratios);
  });
}

function median(values) {
  const sorted = Float64Array.from(values).sort();
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function shuffled(length, random) {
  const order = Array.from({ length }, (_, i) => i);
  for (let i = length - 1; i > 0; i--) {
    const other = Math.floor(random() * (i + 1));
    [order[i], order[other]] = [order[other], order[i]];
  }
  return order;
}

// mulberry32: Math.random takes no seed
function generator(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

// ---- To and from the host

async function fetched(address) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Unavailable(`${address}: ${answer.status}`);
  return answer;
}

async function fetchBytes(address) {
  return new Uint8Array(await (await fetched(address)).arrayBuffer());
}

async function fetchArrays(inputs) {
  const named = Object.entries(inputs).map(async ([name, path]) => [name, parseNpy(await fetchBytes(path))]);
  return Object.fromEntries(await Promise.all(named));
}

async function version(module) {
  return (await (await fetched(`./modules/${module}/package.json`)).json()).version;
}

async function post(address, body) {
  const answer = await fetch(address, { method: "POST", body });
  if (!answer.ok) throw new Unavailable(`${address}: ${answer.status}`);
}

function say(event, fields = {}) {
  return post("./events", JSON.stringify({ ...fields, event }));
}

async function environment(job) {
  const modules = new Set(job.models.map(({ runtime }) => RUNTIMES[runtime]?.module).filter(Boolean));
  const packages = {};
  for (const module of modules) packages[module] = await version(module);
  return {
    system: navigator.userAgent, cpu: "as the browser sees it", cores: navigator.hardwareConcurrency, python: null, packages,
  };
}

// A sign of life from this process that does not wait for the work: a worker beats even while the page computes.
function beat() {
  const address = JSON.stringify(new URL("./alive", location.href).href);
  const source = `setInterval(() => fetch(${address}, { method: "POST" }), 1000)`;
  new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
}

async function main() {
  const job = await (await fetched("./job")).json();
  beat();
  await say("start", await environment(job));
  try {
    const mode = { probe, inspect, accuracy, latency, profile }[job.mode];
    if (!mode) throw new Unavailable(`the browser has no mode ${job.mode}`);
    await mode(job);
    await say("done");
  } catch (error) {
    const kind = error instanceof Rejected ? "rejected" : error instanceof Unavailable ? "unavailable" : "crashed";
    await say(kind, { reason: String(error?.message ?? error) });
  }
}

main();
