/** bench: what this machine can do and what share of it we reach. Must not know the terminal. */
export { chromeTrace } from './chrome-trace.ts';
export { CONFIGS, peerRecipe } from './configs.ts';
export { benchDecode, decodeTitles } from './decode.ts';
export { benchKernels, kernelTitles } from './kernels.ts';
export { type Limits, type Precision, PRECISIONS } from './measure.ts';
export { bestPeer, type PeerLine, readPeers } from './peers.ts';
export type { Row } from './row.ts';
export { benchQuality, type Quality } from './quality.ts';
export { benchTokenizers, tokenizerTitles } from './tokenizers.ts';
export { benchStep, type OpTime } from './step.ts';
