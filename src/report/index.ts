/** report: pictures and pages of what routing measured. Must not know the run folder, the terminal or Node. */
export { type FertilityRow } from './charts/fertility.ts';
export { type DataRow, type Json, type ReportInput } from './input.ts';
export { report } from './report.ts';
export { timelinePage, type TimelineInput } from './timeline.ts';
export { dropsView } from './views/drops.ts';
export { loadView } from './views/load.ts';
export { tokenizersView } from './views/tokenizers.ts';
export { tokenView, type Looking } from './views/token.ts';
export { type View } from './views/view.ts';
