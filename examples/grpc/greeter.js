// The service, for both sides. Its messages are JSON, which saves this example a .proto file.

const toJson = (message) => Buffer.from(JSON.stringify(message));
const fromJson = (bytes) => JSON.parse(bytes.toString());

const codec = {
  requestSerialize: toJson,
  requestDeserialize: fromJson,
  responseSerialize: toJson,
  responseDeserialize: fromJson,
};

export const greeter = {
  sayHello: { path: '/example.Greeter/SayHello', requestStream: false, responseStream: false, ...codec },
  sayHelloOften: { path: '/example.Greeter/SayHelloOften', requestStream: false, responseStream: true, ...codec },
};
