// Apollo Server that loses no client at a deploy. Run `node server.js`, then send SIGTERM.
import { setTimeout } from 'node:timers/promises';
import { ApolloServer } from '@apollo/server';
import { startStandaloneServer } from '@apollo/server/standalone';
import { lastCall } from 'lastcall';

const typeDefs = `
  type Query { hello: String! slow: String! }
  type Mutation { order(items: [Int!]!): Int! }
`;

const resolvers = {
  Query: {
    hello: () => 'hello',
    slow: async () => {
      await setTimeout(1_000);
      return 'done';
    },
  },
  Mutation: { order: (_, { items }) => items.length },
};

// Otherwise Apollo stops by itself at the signal, while clients still need it.
const server = new ApolloServer({ typeDefs, resolvers, stopOnTerminationSignals: false });
await startStandaloneServer(server, { listen: { port: Number(process.env.PORT ?? 4000) } });

// All servers: the standalone server keeps its own private. Apollo's plugins run when no client is left.
lastCall('all', { onDrained: () => server.stop() });
