/** A thread of the WebAssembly engine. Number 0 runs programs as it is told; the others take tasks until the engine stops. */
import { parentPort, workerData } from 'node:worker_threads';

const { module, memory, stack, pool, worker, origin } = workerData;
/** Nanoseconds since the process began: each thread's own clock begins when the thread does. */
const now = () => 1e6 * (performance.now() + (performance.timeOrigin - origin));
const { exports } = new WebAssembly.Instance(module, { env: { memory }, openmoe: { now } });
// The module was made for one thread: each has its own instance, and must be given a stack of its own in the shared memory.
exports.__stack_pointer.value = stack;

if (worker > 0) exports.work(pool, worker);
else
  parentPort.on('message', (told) => {
    if (!told) parentPort.close();
    else parentPort.postMessage(exports.run(told.machine, told.arguments, pool) !== 0);
  });
