import { fileURLToPath } from 'node:url';

// Where node_modules is: Next would take the folder of the outermost lock file.
export default { turbopack: { root: fileURLToPath(new URL('..', import.meta.url)) } };
