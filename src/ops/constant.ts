/** constant, iota: values that need no operand. */
import { op, requireAxes, rules, DTYPES, sizeOf, type DType, type Shape, type Tensor } from '../graph/index.ts';
import { strides } from './strides.ts';

interface ConstantAttrs {
  readonly value: number;
  readonly dtype: number;
  readonly shape: Shape;
}
const constantOp = op(
  'constant',
  {},
  { y: 'any[*]' },
  {
    attrs: { value: 'number', dtype: 'whole', shape: 'wholes' },
    splat: true,
    infer(_, { dtype, shape }: ConstantAttrs) {
      if (dtype > 1) throw new TypeError(`[constant] dtype: expected 0 (f32) or 1 (i32), got ${dtype}`);
      return { y: { dtype: DTYPES[dtype]!, shape } };
    },
  },
);
rules(constantOp, {
  ref(_, { y }, { attrs }) {
    y.fill(attrs.value);
  },
  cases: [
    { about: 'f32', inputs: {}, attrs: { value: 1.5, dtype: 0, shape: [3, 5] } },
    { about: 'i32', inputs: {}, attrs: { value: -7, dtype: 1, shape: [] } },
  ],
});
/** An array filled with one value. */
export const full = (shape: Shape, value: number, dtype: DType = 'f32'): Tensor =>
  constantOp({}, { value, dtype: DTYPES.indexOf(dtype), shape }).y;
export const scalar = (value: number, dtype: DType = 'f32'): Tensor => full([], value, dtype);

interface IotaAttrs {
  readonly axis: number;
  readonly shape: Shape;
}
const iotaOp = op(
  'iota',
  {},
  { y: 'i[*]' },
  {
    attrs: { axis: 'whole', shape: 'wholes' },
    infer(_, { axis, shape }: IotaAttrs) {
      requireAxes('iota', shape, axis);
      return { y: { dtype: 'i32', shape } };
    },
  },
);
rules(iotaOp, {
  ref(_, { y }, { attrs: { axis, shape } }) {
    const step = strides(shape)[axis]!;
    for (let n = 0; n < sizeOf(shape); n++) y[n] = Math.floor(n / step) % shape[axis]!;
  },
  cases: [{ about: 'middle axis', inputs: {}, attrs: { axis: 1, shape: [2, 7, 3] } }],
});
/** Integers that count along an axis. */
export const iota = (shape: Shape, axis: number): Tensor => iotaOp({}, { axis, shape }).y;
