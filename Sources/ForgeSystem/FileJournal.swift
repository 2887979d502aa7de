import ForgeBase
import Glibc
import Synchronization

/// Notes what is looked at in the file system while something is computed, so that it need not be computed again as long
/// as nothing of that has changed. Off unless somebody records; then every function of ``Files`` that looks reports here.
package enum FileJournal {
    /// What was asked of a path. The answer of each is compared later.
    enum Aspect: UInt8, Sendable {
        /// Whether it is there, and whether it is a directory; links are followed.
        case kind = 0
        /// What identifies its bytes or, of a directory, its list of names; links are followed.
        case content = 1
        /// The same of a link itself.
        case link = 2
    }

    struct Question: Hashable, Sendable {
        var path: String
        var aspect: Aspect
    }

    struct Notes: Sendable {
        /// Paths below these are not noted.
        var ignored: [String]
        var answers: [Question: FileWitnesses.Answer] = [:]
        /// False if something changed while it was looked at, or so shortly before that a further change might not show.
        var isSettled = true
    }

    /// The thread whose looking is noted; 0 while nobody records. Others do something else meanwhile.
    private static let recorder = Atomic<UInt>(0)
    private static let notes = Locked<Notes?>(nil)

    /// Records what `body` looks at on this thread. One recording at a time.
    /// - Parameter ignoring: directories below which files come and go without a meaning.
    /// - Returns: nil for the witnesses if what was seen is not settled.
    package static func recording<R>(ignoring: [String], _ body: () throws -> R) rethrows -> (R, FileWitnesses?) {
        notes.withLock { $0 = Notes(ignored: ignoring.map { $0 + "/" } + ["/proc/"]) }
        recorder.store(UInt(pthread_self()), ordering: .relaxed)
        defer { recorder.store(0, ordering: .relaxed) }
        let result = try body()
        let found = notes.withLock { notes in
            defer { notes = nil }
            return notes
        }
        guard let found, found.isSettled else { return (result, nil) }
        return (result, FileWitnesses(found.answers))
    }

    /// Notes the answer to a question. Costs one atomic load while nobody records.
    @inline(__always)
    static func note(_ path: String, _ aspect: Aspect) {
        let recording = recorder.load(ordering: .relaxed)
        if recording != 0, recording == UInt(pthread_self()) { write(Question(path: path, aspect: aspect)) }
    }

    private static func write(_ question: Question) {
        let now = SystemTime.now()
        notes.withLock { notes in
            // A relative path means something else in another directory.
            if !question.path.hasPrefix("/") { notes?.isSettled = false }
            guard let ignored = notes?.ignored, !ignored.contains(where: { question.path.hasPrefix($0) }) else {
                return
            }
            let answer = question.path.withCString { FileWitnesses.Answer(to: question.aspect, of: $0) }
            if let earlier = notes?.answers.updateValue(answer, forKey: question), earlier != answer {
                notes?.isSettled = false
            }
            if let identity = answer.identity, !identity.isSettled(at: now) { notes?.isSettled = false }
        }
    }
}

extension FileIdentity {
    /// Whether a file had kept still for so long, at a time in nanoseconds since 1970, that another change would show in
    /// its times: longer than a tick of the clock that stamps files (at most 10 ms), or 2 s where a file system keeps
    /// whole seconds only.
    package func isSettled(at now: Int64) -> Bool {
        let second: Int64 = 1_000_000_000
        let isCoarse = modified % second == 0 && changed % second == 0
        return now - max(modified, changed) > (isCoarse ? 2 * second : 20_000_000)
    }
}

/// Answers that the file system gave, in a form that is asked again in one pass over some bytes: a build with nothing to do
/// spends its time here.
///
/// For each, in byte order of the paths: how many bytes its path shares with the one before (2 bytes), how many follow
/// (2 bytes), the aspect (1), the answer (1, and 40 for an identity: device, inode, size, modified, changed), the bytes of the
/// path. Numbers are little-endian.
package struct FileWitnesses: Sendable, Equatable {
    enum Answer: Sendable, Equatable {
        case absent
        case file
        case directory
        case identity(FileIdentity)
        /// Of a link itself.
        case link(FileIdentity)

        init(to aspect: FileJournal.Aspect, of path: UnsafePointer<CChar>) {
            var info = stat()
            guard (aspect == .link ? lstat(path, &info) : stat(path, &info)) == 0 else {
                self = .absent
                return
            }
            switch aspect {
            case .kind: self = info.st_mode & S_IFMT == S_IFDIR ? .directory : .file
            case .content, .link:
                let identity = FileStatus(info).identity
                self = info.st_mode & S_IFMT == S_IFLNK ? .link(identity) : .identity(identity)
            }
        }

        fileprivate var code: UInt8 {
            switch self {
            case .absent: 0
            case .file: 1
            case .directory: 2
            case .identity: 3
            case .link: 4
            }
        }

        var identity: FileIdentity? {
            switch self {
            case .identity(let identity), .link(let identity): identity
            default: nil
            }
        }
    }

    package let bytes: [UInt8]

    /// Witnesses that were kept.
    package init(bytes: [UInt8]) { self.bytes = bytes }

    init(_ answers: [FileJournal.Question: Answer]) {
        var bytes: [UInt8] = []
        var last: [UInt8] = []
        let order = answers.filter { !FileWitnesses.isImplied($0.key, in: answers) }.map {
            (Array($0.key.path.utf8), $0.key.aspect, $0.value)
        }.sorted {
            $0.0 == $1.0 ? $0.1.rawValue < $1.1.rawValue : $0.0.lexicographicallyPrecedes($1.0)
        }
        for (path, aspect, answer) in order where path.count < Int(PATH_MAX) {
            let shared = zip(path, last).prefix { $0 == $1 }.count
            for count in [shared, path.count - shared] {
                bytes += [UInt8(truncatingIfNeeded: count), UInt8(truncatingIfNeeded: count >> 8)]
            }
            bytes += [aspect.rawValue, answer.code]
            if let identity = answer.identity { withUnsafeBytes(of: identity.words) { bytes += $0 } }
            bytes += path[shared...]
            last = path
        }
        self.bytes = bytes
    }

    /// Whether another answer says all that this one does: of what is no link, its own identity says everything.
    private static func isImplied(
        _ question: FileJournal.Question, in answers: [FileJournal.Question: Answer]
    ) -> Bool {
        func answer(_ aspect: FileJournal.Aspect) -> Answer? {
            answers[FileJournal.Question(path: question.path, aspect: aspect)]
        }
        switch question.aspect {
        case .link: return false
        case .content, .kind:
            if case .identity = answer(.link) { return true }
            if case .absent = answer(.link) { return true }
            guard question.aspect == .kind else { return false }
            return answer(.content) != nil
        }
    }

    /// The answers of both.
    package static func + (first: FileWitnesses, second: FileWitnesses) -> FileWitnesses {
        // The first path of the second shares nothing with the one before.
        FileWitnesses(bytes: first.bytes + second.bytes)
    }

    /// Whether the file system still gives the same answers. Bytes that are no witnesses hold for nothing.
    package func stillHold() -> Bool {
        bytes.withUnsafeBytes { bytes in
            withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(PATH_MAX)) { path in
                var place = 0
                while place < bytes.count {
                    guard let length = FileWitnesses.holds(at: place, of: bytes, path) else { return false }
                    place += length
                }
                return true
            }
        }
    }

    /// Asks for one answer again.
    /// - Returns: how many bytes it takes; nil if it is another one now.
    private static func holds(
        at place: Int, of bytes: UnsafeRawBufferPointer, _ path: UnsafeMutableBufferPointer<CChar>
    ) -> Int? {
        guard place + 6 <= bytes.count else { return nil }
        let shared = Int(bytes.loadUnaligned(fromByteOffset: place, as: UInt16.self))
        let rest = Int(bytes.loadUnaligned(fromByteOffset: place + 2, as: UInt16.self))
        let code = bytes[place + 5]
        let start = place + 6 + (code >= 3 ? 40 : 0)
        guard let aspect = FileJournal.Aspect(rawValue: bytes[place + 4]), start + rest <= bytes.count,
            shared + rest < path.count, let buffer = path.baseAddress
        else { return nil }
        for i in 0..<rest { path[shared + i] = CChar(bitPattern: bytes[start + i]) }
        path[shared + rest] = 0
        let answer = Answer(to: aspect, of: buffer)
        guard answer.code == code else { return nil }
        if let identity = answer.identity {
            let same = withUnsafeBytes(of: identity.words) { $0.elementsEqual(bytes[(place + 6)..<(place + 46)]) }
            guard same else { return nil }
        }
        return start + rest - place
    }
}

extension FileIdentity {
    /// Five numbers, 40 bytes.
    fileprivate var words: (UInt64, UInt64, Int64, Int64, Int64) {
        (device.littleEndian, inode.littleEndian, size.littleEndian, modified.littleEndian, changed.littleEndian)
    }
}
