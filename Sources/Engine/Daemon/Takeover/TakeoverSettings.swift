/// How connections are taken over once a ClientHello is seen in them.
struct TakeoverSettings: Sendable {
  /// Octets of a client before its hello: room for the talk before STARTTLS, CONNECT or SOCKS.
  /// A connection that goes beyond is no longer watched.
  var clientBytesMax = 32 * 1024
  var serverBytesMax = 256 * 1024
  /// Octets of both directions not yet acknowledged that are kept of one connection.
  var keptBytesMax = 512 * 1024
  /// The same over all connections of a worker; at the limit new ones are not watched.
  var keptBytesTotalMax = 128 * 1024 * 1024
  /// Connections watched at once by a worker.
  var watchCountMax = 65_536
  /// Packets of one hello that wait for the rest of it; then the TLS stage takes it as it is.
  var heldPacketsMax = 24
  /// The same in time: a client may wait for an acknowledgement before it sends on.
  var heldMilliseconds: Int64 = 40
  /// Times that a hello is made to come again because what is known of the connection has a hole.
  var retriesMax = 3
}
