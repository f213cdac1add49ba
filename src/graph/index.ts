/** graph: the language of computation. Must not know which ops exist, nor who executes them. */
export {
  apply,
  contextOf,
  dimsOf,
  op,
  opNamed,
  opNames,
  rules,
  rulesOf,
  specsOf,
  type AnyOp,
  type AnyRules,
  type Case,
  type Definition,
  type Fill,
  type Numbers,
  type Op,
  type Rules,
  type Spec,
} from './op.ts';
export { show, type Dims, type Signature, type Tensors } from './signature.ts';
export { scope, tap, withTaps, type Taps } from './tap.ts';
export {
  argument,
  bytesOf,
  DTYPES,
  isFloat,
  sameShape,
  sizeOf,
  type Attrs,
  type DType,
  type Node,
  type Role,
  type Shape,
  type Tensor,
} from './tensor.ts';
