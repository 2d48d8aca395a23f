// pm2 start ecosystem.config.cjs, and for a deploy: pm2 reload ecosystem.config.cjs
const path = require('node:path');
const { pathToFileURL } = require('node:url');

module.exports = {
  apps: [
    {
      name: 'example',
      script: path.join(__dirname, 'server.js'),
      exec_mode: 'cluster',
      instances: 2,
      node_args: `--import ${pathToFileURL(require.resolve('lastcall/register')).href}`,
      // Longer than lastcall's deadline, which is 9 s by default.
      kill_timeout: 10_000,
    },
  ],
};
