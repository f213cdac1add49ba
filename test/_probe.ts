import { openCpu } from '../src/exec/index.ts';
import { readRun } from '../src/runs/index.ts';
import { prepare, readTrained, checkRecipe } from '../src/train/index.ts';
import { analyse, openProber } from '../src/routing/index.ts';
import { readdirSync } from 'node:fs';
const t0=performance.now(); const T=()=>((performance.now()-t0)/1000).toFixed(1);
const dir=process.argv[2]??'/tmp/runs/'+readdirSync('/tmp/runs')[0]; const run=await readRun(dir); const recipe=checkRecipe(await run.readJson('recipe.json'),'r');
const ex=openCpu(); const steps=await run.checkpoints(); console.log(steps);
const first=await readTrained(await run.readCheckpoint(steps[0]!)); const {dataset}=await prepare(recipe,{tokenizer:first.tokenizer}); console.log(T(),'data');
const rows=dataset.probeRows({seed:0,sequencesPerDomain:32});
const prober=await openProber(first.model,ex,{rows,length:256,domains:dataset.domains.map(d=>d.name),heldOut:dataset.domains.filter(d=>d.heldOut).map(d=>d.name),batch:8},'eval');
const recs=[],notes=[]; const bufs:any=Object.fromEntries(first.model.list.map(p=>[p.path,ex.zeros({dtype:'f32',shape:p.shape})]));
for(const s of steps){ const c=await readTrained(await run.readCheckpoint(s)); for(const p of c.model.list)ex.write(bufs[p.path],c.weights.get(p.path)!); const r=await prober.record(bufs,{step:s,share:s/steps.at(-1)!}); recs.push(r.record); notes.push({loss:r.loss}); console.log(T(),s,r.loss.toFixed(3),r.record.tokens.length); }
const f=analyse(recs,{seed:0,trainCapacity:prober.trainCapacity,notes}); console.log(T(),'analysed');
console.log(JSON.stringify(f.probe)); for(const x of f.findings){ console.log(x.id,x.verdict,(x as any).token_over_domain??''); for(const l of x.layers as any[])console.log('  ',l.layer,l.verdict,l.reason??'', l.token_over_domain?.verdict??'', JSON.stringify(l.atTrainCapacity?.verdict??'')); }
