/** Names of runs that people can say: a date and an animal. */

const ANIMALS = `
  adder alpaca badger beaver bison bittern bobcat caracal civet condor coyote crane curlew dingo dormouse dunlin eagle egret
  eider ermine falcon ferret finch fox gannet gazelle gecko gibbon godwit goshawk grouse hare harrier hedgehog heron hobby hoopoe
  hyena ibex ibis impala jackal jackdaw jaguar kestrel kiwi koala kudu lapwing lemur leopard linnet lynx macaw magpie marmot
  marten merlin mink moose newt ocelot okapi oriole osprey otter owl panda pelican petrel pika pipit plover polecat puffin puma
  quail quokka rabbit raven redstart robin sable seal serval shrew siskin skink sparrow starling stoat stork swift tapir teal
  tern thrush toucan turtle viper vole wagtail walrus weasel whimbrel wigeon wolf wombat wren yak zebra zorilla
`
  .trim()
  .split(/\s+/);

/** `otter` of `2026-11-22-otter-2`: the id without its date and number. */
export const nameOf = (id: string): string => id.replace(/^\d{4}-\d\d-\d\d-/, '').replace(/-\d+$/, '');

/** An animal that no run is called yet, as long as there are such: then it alone refers to the run. */
export function freshAnimal(ids: readonly string[]): string {
  const used = new Set(ids.map(nameOf));
  const free = ANIMALS.filter((animal) => !used.has(animal));
  const choice = free.length ? free : ANIMALS;
  return choice[Math.floor(Math.random() * choice.length)]!;
}

/** `2026-11-22-otter` in local time; from the second of that name on with its number. */
export function runId(date: Date, name: string, count: number): string {
  const day = [date.getFullYear(), date.getMonth() + 1, date.getDate()].map((n) => String(n).padStart(2, '0')).join('-');
  return `${day}-${name}${count > 1 ? `-${count}` : ''}`;
}
