// Client of the ProactiveLLM server, for Node and browsers. index.d.ts beside this folder is its reference.

export { connect } from "./client.js";
export { ClientError, ClosedError, ConnectError, NoCapacityError, ProtocolError, ServerError, UnsendableError } from "./errors.js";
