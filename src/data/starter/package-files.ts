/** What a reader of the starter corpus sees of an installed package: nothing but its text files. */
export interface PackageFiles {
  readonly version: string;
  /** A file's text. */
  text(path: string): string;
  /** Paths of all files below a folder, sorted, relative to the package. */
  list(folder: string): readonly string[];
}
