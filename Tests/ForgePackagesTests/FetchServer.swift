import ForgeSystem
import Glibc

/// An HTTP/1.1 server on the loopback interface that misbehaves as told. Real sockets, one thread a connection.
final class FetchServer: Sendable {
    struct Request: Sendable {
        var path: String
        /// From `Range: bytes=N-`.
        var rangeStart: Int?
        /// Lower-case names.
        var headers: [String: String]
        /// How many requests of this path came before.
        var earlier: Int
        /// Of a POST.
        var body: [UInt8] = []
        var isPost = false
    }

    struct Reply: Sendable {
        var status = 200
        var body: [UInt8] = []
        var headers: [(String, String)] = []
        /// Close the connection after so many bytes of the body.
        var cutAfter: Int?
        /// Answer Range requests with 206.
        var ranges = true
        /// What Content-Length says, where that is not true.
        var contentLength: Int?
        /// Send no Content-Length, and close at the end.
        var untilClose = false
        /// After the body, the same again, without end and without Content-Length.
        var endless = false
        /// Milliseconds before the head.
        var delay: UInt32 = 0
        /// Milliseconds between pieces of 4 KiB of the body.
        var pace: UInt32 = 0

        static func ok(_ body: [UInt8]) -> Reply { Reply(body: body) }
        static func status(_ code: Int, _ headers: [(String, String)] = []) -> Reply {
            Reply(status: code, body: Array("an error page\n".utf8), headers: headers)
        }
    }

    private struct State {
        var requests: [Request] = []
        var sent: [String: Int] = [:]
        var active = 0
        var mostActive = 0
    }

    private let state = Locked(State())
    private let handler: @Sendable (Request) -> Reply
    private let listener: Int32
    let port: UInt16
    var url: String { "http://127.0.0.1:\(port)" }
    var requests: [Request] { state.withLock { $0.requests } }
    /// Bodies that were in the sending at the same time, at most.
    var mostActive: Int { state.withLock { $0.mostActive } }

    /// Bytes of bodies sent for a path.
    func sent(_ path: String) -> Int { state.withLock { $0.sent[path] ?? 0 } }

    init(_ handler: @escaping @Sendable (Request) -> Reply) {
        self.handler = handler
        (listener, port) = FetchServer.listen()
        start { [listener] in
            while true {
                let connection = accept(listener, nil, nil)
                if connection < 0 { break }
                start { [weak self] in
                    self?.serve(connection)
                    close(connection)
                }
            }
        }
    }

    deinit {
        shutdown(listener, Int32(SHUT_RDWR))
        close(listener)
    }

    /// A listening socket on a free port.
    private static func listen() -> (Int32, UInt16) {
        let fd = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                bind(fd, generic, length) == 0 && Glibc.listen(fd, 64) == 0 && getsockname(fd, generic, &length) == 0
            }
        }
        precondition(bound, "no port on the loopback interface")
        return (fd, UInt16(bigEndian: address.sin_port))
    }

    /// A port where nobody listens.
    static func closedPort() -> UInt16 {
        let (fd, port) = listen()
        close(fd)
        return port
    }

    // MARK: One connection

    private func serve(_ fd: Int32) {
        var buffer: [UInt8] = []
        while let head = readHead(fd, &buffer) {
            var request = FetchServer.parse(head)
            let length = request.headers["content-length"].flatMap { Int($0) } ?? 0
            while buffer.count < length {
                var piece = [UInt8](repeating: 0, count: 4096)
                let count = recv(fd, &piece, piece.count, 0)
                guard count > 0 else { return }
                buffer += piece[..<count]
            }
            request.body = Array(buffer[..<length])
            buffer.removeFirst(length)
            state.withLock { state in
                request.earlier = state.requests.count { $0.path == request.path }
                state.requests.append(request)
            }
            let reply = handler(request)
            state.withLock {
                $0.active += 1
                $0.mostActive = max($0.mostActive, $0.active)
            }
            let alive = send(reply, to: request, fd)
            state.withLock { $0.active -= 1 }
            if !alive { return }
        }
    }

    private func readHead(_ fd: Int32, _ buffer: inout [UInt8]) -> String? {
        while true {
            let end = Array("\r\n\r\n".utf8)
            if let start = buffer.indices.first(where: { buffer[$0...].starts(with: end) }) {
                defer { buffer.removeFirst(start + 4) }
                return String(decoding: buffer[..<(start + 4)], as: UTF8.self)
            }
            var piece = [UInt8](repeating: 0, count: 4096)
            let count = recv(fd, &piece, piece.count, 0)
            guard count > 0 else { return nil }
            buffer += piece[..<count]
            // A TLS ClientHello: answer as a plain HTTP server does.
            if buffer.first == 0x16 {
                _ = FetchServer.write(fd, Array("HTTP/1.1 400 x\r\nContent-Length: 0\r\n\r\n".utf8)[...])
                return nil
            }
        }
    }

    private static func parse(_ head: String) -> Request {
        let lines = head.split(separator: "\r\n")
        var headers: [String: String] = [:]
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { continue }
            headers[line[..<colon].lowercased()] = String(line[line.index(after: colon)...].drop { $0 == " " })
        }
        let path = lines.first?.split(separator: " ").dropFirst().first ?? ""
        let start = headers["range"].flatMap { Int($0.drop { !$0.isNumber }.prefix { $0.isNumber }) }
        return Request(
            path: String(path), rangeStart: start, headers: headers, earlier: 0, isPost: head.hasPrefix("POST "))
    }

    /// False if the connection is at its end.
    private func send(_ reply: Reply, to request: Request, _ fd: Int32) -> Bool {
        usleep(reply.delay * 1000)
        var reply = reply
        var body = reply.body[...]
        if reply.status == 200, reply.ranges, let start = request.rangeStart {
            reply.status = start < body.count ? 206 : 416
            reply.headers.append(("Content-Range", "bytes \(start)-\(body.count - 1)/\(body.count)"))
            body = body.dropFirst(start)
        }
        var head = "HTTP/1.1 \(reply.status) x\r\n"
        for (name, value) in reply.headers { head += "\(name): \(value)\r\n" }
        let open = reply.endless || reply.untilClose
        if !open { head += "Content-Length: \(reply.contentLength ?? body.count)\r\n" }
        head += open ? "Connection: close\r\n\r\n" : "\r\n"
        guard FetchServer.write(fd, Array(head.utf8)[...]) else { return false }
        repeat {
            var rest = reply.cutAfter.map { body.prefix($0) } ?? body
            while !rest.isEmpty {
                let piece = rest.prefix(4096)
                // Counted first: when the client has the bytes, a test may already look at the number.
                state.withLock { $0.sent[request.path, default: 0] += piece.count }
                guard FetchServer.write(fd, piece) else {
                    state.withLock { $0.sent[request.path, default: 0] -= piece.count }
                    return false
                }
                rest = rest.dropFirst(piece.count)
                usleep(reply.pace * 1000)
            }
        } while reply.endless
        return !open && reply.cutAfter == nil && reply.contentLength == nil
    }

    private static func write(_ fd: Int32, _ bytes: ArraySlice<UInt8>) -> Bool {
        var rest = bytes
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.send(fd, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }
}

/// Runs a closure on a thread of its own.
func start(_ body: @escaping @Sendable () -> Void) {
    final class Box: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    var thread = pthread_t()
    let box = Unmanaged.passRetained(Box(body)).toOpaque()
    let made = pthread_create(
        &thread, nil,
        { context in
            if let context { Unmanaged<Box>.fromOpaque(context).takeRetainedValue().body() }
            return nil
        }, box)
    precondition(made == 0, "no thread")
    pthread_detach(thread)
}
