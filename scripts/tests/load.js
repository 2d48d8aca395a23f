// Keeps one processor busy for the share of the time that its argument gives, 0 to 1, until it is killed or its parent is gone.
const share = Number(process.argv[2]);
const PERIOD = 20;
const parent = process.ppid;

const turn = () => {
  if (process.ppid !== parent) process.exit();
  const end = performance.now() + PERIOD * share;
  while (performance.now() < end);
  setTimeout(turn, PERIOD * (1 - share));
};
turn();
