import ForgeBase
import ForgeSystem

/// Lines of git's wire protocol (gitprotocol-common(5)): four hexadecimal digits of length, then the bytes.
enum GitPacket: Equatable {
    case data([UInt8])
    /// `0000`
    case flush
    /// `0001`
    case delimiter
    /// `0002`
    case end

    static func line(_ text: String) -> [UInt8] {
        let length = String(text.utf8.count + 4, radix: 16)
        return Array((String(repeating: "0", count: 4 - length.utf8.count) + length + text).utf8)
    }

    /// The text without its line feed; nil for the marks.
    var text: String? {
        guard case .data(let bytes) = self else { return nil }
        return String(decoding: bytes.last == UInt8(ascii: "\n") ? bytes.dropLast() : bytes[...], as: UTF8.self)
    }
}

/// Reads packets from a file.
struct GitPacketReader: ~Copyable {
    private let file: FileDescriptor
    private let name: String
    private var buffer: [UInt8] = []
    private var at = 0

    /// - Parameter name: where the bytes come from, for messages.
    init(_ path: String, from name: String) throws(ForgeError) {
        file = try FileDescriptor(opening: path)
        self.name = name
    }

    /// The next packet; nil at the end.
    mutating func next() throws(ForgeError) -> GitPacket? {
        guard let head = try take(4) else { return nil }
        guard let length = Int(String(decoding: head, as: UTF8.self), radix: 16) else { throw nonsense() }
        switch length {
        case 0: return .flush
        case 1: return .delimiter
        case 2: return .end
        case 4...: break
        default: throw nonsense()
        }
        guard let bytes = try take(length - 4) else { throw nonsense() }
        return .data(bytes)
    }

    func nonsense() -> ForgeError {
        ForgeError(
            .network, "\(name) answers with something that is not git's protocol",
            remedy: "is it the address of a repository? try `git ls-remote \(name)`")
    }

    private mutating func take(_ count: Int) throws(ForgeError) -> [UInt8]? {
        while buffer.count - at < count {
            let piece = try file.read(upTo: 1 << 18)
            if piece.isEmpty { return nil }
            buffer.removeFirst(at)
            at = 0
            buffer += piece
        }
        defer { at += count }
        return Array(buffer[at..<(at + count)])
    }
}
