// Node's resolvers, the C library's and c-ares: for each name a line of the name, milliseconds, and addresses; or ports
// and targets, for SRV.
import { lookup, resolveSrv } from "node:dns/promises";

for (const name of process.argv.slice(2)) {
    const begin = performance.now();
    const found = name.startsWith("_")
        ? resolveSrv(name).then((records) => records.map(({ port, name }) => `${port}:${name}`))
        : lookup(name, { all: true }).then((addresses) => addresses.map(({ address }) => address));
    const texts = await found.catch(() => []);
    console.log(name, Math.round(performance.now() - begin), texts.join(" "));
}
