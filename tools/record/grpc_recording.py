"""Forwards and records unary gRPC calls: the messages, framed again with five bytes before each, and the
status with its trailers."""

from concurrent import futures

import grpc


class Calls(grpc.GenericRpcHandler):
    """Accepts calls on `port` and forwards them to the server on another port."""

    def __init__(self, recording, upstream):
        self.recording = recording
        self.channel = grpc.insecure_channel(f"127.0.0.1:{upstream}")
        self.server = grpc.server(futures.ThreadPoolExecutor(1))
        self.server.add_generic_rpc_handlers([self])
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    def service(self, details):
        def call(message, context):
            fields = [["content-type", "application/grpc"], ["te", "trailers"]]
            fields += [list(pair) for pair in context.invocation_metadata()]
            sent = (fields, framed(message))
            try:
                answer = self.channel.unary_unary(details.method)(message, timeout=60)
            except grpc.RpcError as refusal:
                self.keep(details.method, sent, b"", refusal.code(), refusal.details())
                context.abort(refusal.code(), refusal.details())
            self.keep(details.method, sent, framed(answer), grpc.StatusCode.OK, "")
            return answer

        return grpc.unary_unary_rpc_method_handler(call)

    def keep(self, path, sent, received, code, message):
        trailers = [["grpc-status", str(code.value[0])]] + ([["grpc-message", message]] if message else [])
        answered = ([["content-type", "application/grpc"]], received)
        self.recording.keep(method="POST", path=path, request=sent, status=200, response=answered,
                            trailers=trailers)

    def stop(self):
        self.server.stop(None)
        self.channel.close()


def framed(message):
    return b"\0" + len(message).to_bytes(4, "big") + message
