/** The products of a decoder with its weights, whichever form those have.   N tokens, H hidden, D = heads · head size, V vocabulary. */
import {
  type ArgumentSpec,
  concat,
  full,
  gatedProduct,
  groupedMatmul,
  matmul,
  type Model,
  packedFeedforward,
  packedMatmul,
  type Shape,
  shapeOfPacked,
  type Tensor,
} from './vocabulary.ts';
import { isPacked, packedMatrices, plainPaths, transposedOf, type Weights } from './packed.ts';

export interface Products {
  /** [N,H] → [N,3D]: queries, keys and values. `at` is the layer's path. */
  qkv(x: Tensor, at: string): Tensor;
  /** [N,D] → [N,H]. */
  out(x: Tensor, at: string): Tensor;
  /** [N,H] → [N,H]; `at` is the path of the feed-forward. */
  feedforward(x: Tensor, at: string): Tensor;
  /** Rows [S,H] of experts, i[E] sizes each → [S,H]. */
  experts(x: Tensor, at: string, sizes: Tensor): Tensor;
  /** [N,H] → [N,V]. */
  head(x: Tensor): Tensor;
}

/** Arguments by which a program takes these weights. */
export function weightSpecs(model: Model, weights: Weights): Record<string, ArgumentSpec> {
  const shapes = new Map(model.list.map((p) => [p.path, p.shape]));
  const transposed = transposedOf(weights);
  const shapeOf = (path: string): Shape => (transposed.has(path) ? shapes.get(path)!.toReversed() : shapes.get(path)!);
  const plain = (paths: readonly string[]): [string, ArgumentSpec][] =>
    paths.map((path) => [path, { shape: shapeOf(path), role: 'parameter' }]);
  if (!isPacked(weights)) return Object.fromEntries(plain(model.list.map((p) => p.path)));
  const packed = packedMatrices(model).map((m): [string, ArgumentSpec] => [
    m.path,
    { dtype: 'i8', shape: shapeOfPacked({ ...m, bits: weights.bits }), role: 'parameter' },
  ]);
  return Object.fromEntries([...plain(plainPaths(model)), ...packed]);
}

/** `weight` gives a weight's tensor by path, as `weightSpecs` names them. */
export function products(model: Model, weights: Weights, weight: (path: string) => Tensor): Products {
  return isPacked(weights) ? packedProducts(model, weights.bits, weight) : plainProducts(weight, transposedOf(weights));
}

function plainProducts(weight: (path: string) => Tensor, transposed: ReadonlySet<string>): Products {
  const by = (x: Tensor, path: string): Tensor => matmul(x, weight(path), { transB: transposed.has(path) });
  return {
    qkv: (x, at) =>
      concat(
        ['query', 'key', 'value'].map((name) => by(x, `${at}.attention.${name}`)),
        1,
      ),
    out: (x, at) => by(x, `${at}.attention.out`),
    feedforward: (x, at) => by(gatedProduct(by(x, `${at}.gate`), by(x, `${at}.up`)), `${at}.down`),
    experts: (x, at, sizes) => {
      const each = (rows: Tensor, name: string): Tensor => groupedMatmul(rows, weight(`${at}.${name}`), sizes);
      return each(gatedProduct(each(x, 'gate'), each(x, 'up')), 'down');
    },
    head: (x) => by(x, 'head'),
  };
}

function packedProducts(model: Model, bits: 16 | 8 | 4, weight: (path: string) => Tensor): Products {
  const shapes = new Map<string, Shape>(packedMatrices(model).map((m) => [m.path, m.matrices]));
  const matrix = (x: Tensor, path: string): Tensor => packedMatmul(x, weight(path), { bits, features: shapes.get(path)![2]! });
  const feedforward = (x: Tensor, at: string, sizes: Tensor): Tensor => {
    const [, inner, features] = shapes.get(`${at}.down`) as readonly [number, number, number];
    return packedFeedforward(x, { up: weight(`${at}.expand`), down: weight(`${at}.down`), sizes }, { bits, inner, features });
  };
  return {
    qkv: (x, at) => matrix(x, `${at}.attention.qkv`),
    out: (x, at) => matrix(x, `${at}.attention.out`),
    feedforward: (x, at) => feedforward(x, at, full([1], x.shape[0]!, 'i32')),
    experts: feedforward,
    head: (x) => matrix(x, 'head'),
  };
}
