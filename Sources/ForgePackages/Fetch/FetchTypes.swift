package import ForgeBase

/// Some bytes from outside that are known by their digest, and the places to ask for them.
package struct WantedObject: Sendable, Equatable {
    /// What people call it, for example `curl 7.88.1-10 (amd64)`.
    package var name: String
    package var digest: Digest
    /// URLs (http, https, file) in order of preference.
    package var urls: [String]
    /// URLs of archives of old states, asked only when the others are exhausted and one of them said that it no longer
    /// has the file: snapshot services limit the rate of requests.
    package var snapshotURLs: [String]

    package init(name: String, digest: Digest, urls: [String], snapshotURLs: [String] = []) {
        self.name = name
        self.digest = digest
        self.urls = urls
        self.snapshotURLs = snapshotURLs
    }
}

/// A file that somebody has pinned by its digest, in a recipe or a lock.
package struct PinnedFile: Sendable, Equatable {
    package var name: String
    /// 64 small hexadecimal digits.
    package var sha256: String
    /// Bytes, if known.
    package var size: Int64?
    /// URLs (http, https, file) in order of preference.
    package var urls: [String]
    /// What is said to the servers besides.
    package var request: FetchRequest

    package init(name: String, sha256: String, size: Int64?, urls: [String], request: FetchRequest = FetchRequest()) {
        self.name = name
        self.sha256 = sha256
        self.size = size
        self.urls = urls
        self.request = request
    }
}

/// What is said to a server besides the URL.
package struct FetchRequest: Sendable, Equatable {
    /// `Name: value`.
    package var headers: [String]
    /// Sent by POST; nil for GET.
    package var body: [UInt8]?

    package init(headers: [String] = [], body: [UInt8]? = nil) {
        self.headers = headers
        self.body = body
    }
}

/// Who has said what the bytes must be, for messages.
package enum FetchPin: Sendable, Equatable {
    /// A lock; with the time of it, as text for people.
    case lock(String?)
    /// The recipe itself.
    case recipe
    /// A lock, of files that have addresses of their own and no archive behind them.
    case lockedFiles
    /// A lock, of the parts of images.
    case lockedImages
}

/// How the network is used.
package struct FetchOptions: Sendable {
    /// Transfers at a time.
    package var connections = 8
    /// Transfers at a time from one host.
    package var connectionsPerHost = 6
    /// Transfers at a time from a host that is asked as a snapshot service.
    package var connectionsPerSnapshotHost = 2
    /// Seconds until a connection, TLS included, must stand.
    package var connectTimeout = 20
    /// A transfer slower than `stallBytesPerSecond` for this many seconds is given up.
    package var stallSeconds = 30
    package var stallBytesPerSecond = 512
    /// Tries of one URL before it is given up, and failed connections in a row before a host is.
    package var attempts = 4
    /// Wait before the second try; doubled for each further one. The schedule has no random part: forge is one client
    /// with few connections, not a herd.
    package var retryDelay: Duration = .seconds(1)
    /// The longest wait, also when a server asks for more (`Retry-After`).
    package var maximumDelay: Duration = .seconds(60)
    package var maximumRedirects = 10
    package var userAgent = "forge"
    /// Asked a few times a second; true stops the fetch with exit code 130. Partial files stay valid.
    package var isCancelled: @Sendable () -> Bool = { false }

    package init() {}
}

/// How far a fetch is.
package struct FetchProgress: Sendable, Equatable {
    /// Bytes on this machine, those of earlier, interrupted downloads included. Falls when wrong bytes are discarded.
    package var bytes: Int64
    /// Bytes of everything that the store lacked at the start.
    package var totalBytes: Int64
    package var files: Int
    package var totalFiles: Int

    package init(bytes: Int64, totalBytes: Int64, files: Int, totalFiles: Int) {
        self.bytes = bytes
        self.totalBytes = totalBytes
        self.files = files
        self.totalFiles = totalFiles
    }
}

/// What a fetch did.
package struct FetchSummary: Sendable, Equatable {
    /// Objects that the store had.
    package var present = 0
    /// Objects that came in.
    package var fetched = 0
    /// Bytes that came over the network or from `file:` URLs; error pages and discarded bytes are not counted.
    package var transferredBytes: Int64 = 0
    /// Requests made. Zero if the store had everything.
    package var requests = 0
    /// What could not be fetched, in the order wanted.
    package var failures: [FetchFailure] = []

    package init(present: Int = 0) { self.present = present }
}

/// An answer to `Fetcher.get`.
package enum FetchedDocument: Sendable, Equatable {
    /// The bytes, and the URL among those asked that had them.
    case found([UInt8], url: String)
    /// Every URL was answered, and each answer was: no such file (404, 410, no such local file).
    case notFound
}

/// An object that no URL gave, and why.
package struct FetchFailure: Sendable, Equatable {
    package struct Attempt: Sendable, Equatable {
        /// Without credentials.
        package var url: String
        package var problem: FetchProblem
        package var isSnapshot: Bool
    }

    package var name: String
    /// The SHA-256 that was wanted; nil for a document.
    package var hex: String?
    /// The last problem of each URL that was asked.
    package var attempts: [Attempt]

    /// Every place that answered said that it has no such file, and at least one did answer.
    package var isGone: Bool {
        let answers = attempts.filter { $0.problem.isAnswer }
        return !answers.isEmpty && answers.allSatisfy { $0.problem.isGone }
    }

    /// What a place wants to be shown, if one does.
    var challenge: String? {
        attempts.lazy.compactMap { if case .unauthorized(let text) = $0.problem { text } else { nil } }.first
    }

    /// Some place gave other bytes than were promised.
    package var isWrongBytes: Bool { attempts.contains { $0.problem.isWrongBytes } }
}

/// Why one URL did not give what was asked.
package enum FetchProblem: Sendable, Equatable {
    /// The host name has no address.
    case unresolved(String)
    /// Nobody listens, or the host can't be reached.
    case unreachable(String)
    case connectTimeout(seconds: Int)
    /// The host was connected but sent (nearly) nothing for this long.
    case stalled(seconds: Int)
    /// The certificate is not valid, or is none that this machine trusts.
    case certificate(String)
    /// TLS failed in another way.
    case tls(String)
    /// The transfer ended early.
    case cut(received: Int64, expected: Int64?)
    /// An HTTP status that is no success; `retryAfter` in seconds if the server named it.
    case status(Int, retryAfter: Int)
    /// HTTP 401; with the answer's `WWW-Authenticate`, which says what to show.
    case unauthorized(challenge: String)
    /// A `file:` URL that names no file.
    case noSuchFile
    /// More or fewer bytes than promised.
    case wrongSize(got: Int64, expected: Int64)
    /// A document larger than the caller allows, in bytes.
    case tooLarge(limit: Int64)
    /// The promised number of bytes, but others.
    case wrongDigest(got: String, expected: String)
    /// Redirects in a circle, or to something else than http and https.
    case redirect(String)
    /// A URL that can't be asked.
    case badURL(String)
    case other(String)

    /// Whom a problem counts against, and whether another try can help.
    enum Blame { case host, hostForGood, transfer, fileForGood }

    var blame: Blame {
        switch self {
        case .unresolved, .unreachable, .connectTimeout, .tls: .host
        case .certificate: .hostForGood
        case .stalled, .cut, .other: .transfer
        case .status(let code, _):
            switch code {
            case 429, 503: .host
            case 408, 425, 500...599: .transfer
            default: .fileForGood
            }
        case .unauthorized, .noSuchFile, .wrongSize, .tooLarge, .wrongDigest, .redirect, .badURL: .fileForGood
        }
    }

    /// The place says that it has no such file.
    package var isGone: Bool {
        switch self {
        case .status(let code, _): code == 404 || code == 410
        case .noSuchFile: true
        default: false
        }
    }

    /// The place answered about this file, rightly or wrongly.
    var isAnswer: Bool { isGone || isWrongBytes }

    /// The place has a file of this name with other bytes.
    package var isWrongBytes: Bool {
        switch self {
        case .wrongSize, .wrongDigest: true
        default: false
        }
    }
}

extension FetchProblem: CustomStringConvertible {
    package var description: String {
        switch self {
        case .unresolved(let text): "the host name has no address\(FetchProblem.reason(text))"
        case .unreachable(let text): "no connection\(FetchProblem.reason(text))"
        case .connectTimeout(let seconds): "no connection within \(seconds) s"
        case .stalled(let seconds): "no data for \(seconds) s"
        case .certificate(let text): "the server's certificate is not trusted\(FetchProblem.reason(text))"
        case .tls(let text): "TLS failed\(FetchProblem.reason(text))"
        case .cut(let received, let expected):
            "the connection ended after \(received)\(expected.map { " of \($0)" } ?? "") bytes"
        case .status(let code, _): "HTTP status \(code)\(FetchProblem.meaning(ofStatus: code))"
        case .unauthorized: "HTTP status 401\(FetchProblem.meaning(ofStatus: 401))"
        case .noSuchFile: "no such file"
        case .wrongSize(let got, let expected): "the file has \(got) bytes there, expected \(expected)"
        case .tooLarge(let limit): "larger than the \(limit) bytes that are allowed here"
        case .wrongDigest(let got, let expected): "wrong bytes: SHA-256 is \(got), expected \(expected)"
        case .redirect(let text): "a redirect that is not followed\(FetchProblem.reason(text))"
        case .badURL(let text): "this URL cannot be asked\(FetchProblem.reason(text))"
        case .other(let text): text
        }
    }

    private static func reason(_ text: String) -> String { text.isEmpty ? "" : " (\(text))" }

    private static func meaning(ofStatus code: Int) -> String {
        switch code {
        case 401: " (the server wants a user name and password)"
        case 403: " (refused)"
        case 404: " (not there)"
        case 407: " (the proxy wants a user name and password)"
        case 410: " (removed)"
        case 429: " (too many requests)"
        case 500...599: " (the server failed)"
        default: ""
        }
    }
}
