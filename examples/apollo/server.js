// Apollo Server that loses nobody at a deploy: `node server.js`, then SIGTERM.
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

// Else Apollo stops by itself when the signal comes, while clients are still to be served.
const server = new ApolloServer({ typeDefs, resolvers, stopOnTerminationSignals: false });
await startStandaloneServer(server, { listen: { port: Number(process.env.PORT ?? 4000) } });

// All servers: the standalone server keeps its own to itself. When nobody is left, Apollo's plugins have their turn.
lastCall('all', { onDrained: () => server.stop() });
