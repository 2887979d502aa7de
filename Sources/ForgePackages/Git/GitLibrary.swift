import CGit2
import ForgeBase
import Glibc

/// What all uses of libgit2 share.
enum GitLibrary {
    /// Starts libgit2 once per process: every object that is read is compared with its id, which libgit2 does with a SHA-1
    /// that detects the known ways to make collisions.
    static let isReady: Bool = {
        guard git_libgit2_init() > 0, forge_git_verify_objects() == 0 else { return false }
        // As curl takes them from the environment.
        let file = getenv("SSL_CERT_FILE") ?? getenv("CURL_CA_BUNDLE")
        let directory = getenv("SSL_CERT_DIR")
        if file != nil || directory != nil { _ = forge_git_certificates(file, directory) }
        return true
    }()

    static func start() throws(ForgeError) {
        guard isReady else {
            throw ForgeError(.unsupportedHost, "libgit2 cannot be started", remedy: "check the installed libgit2")
        }
    }

    /// What libgit2 says of its last failure.
    static var reason: String { git_error_last().map { String(cString: $0.pointee.message) } ?? "libgit2 fails" }

    static func text(of id: git_oid) -> String {
        var id = id
        // 40 digits and the end mark.
        var buffer = [CChar](repeating: 0, count: 41)
        git_oid_tostr(&buffer, buffer.count, &id)
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    static func id(_ hex: String) throws(ForgeError) -> git_oid {
        var id = git_oid()
        guard git_oid_fromstr(&id, hex) == 0 else { throw ForgeError(.badInput, "“\(hex)” is no id of a commit") }
        return id
    }
}

/// Objects of repositories by their ids. Closed with the value.
struct GitObjects: ~Copyable {
    let repository: OpaquePointer
    private let database: OpaquePointer

    /// - Parameter fill: gives the empty database its objects.
    init(_ fill: (OpaquePointer) -> Int32) throws(ForgeError) {
        try GitLibrary.start()
        var database: OpaquePointer?
        var repository: OpaquePointer?
        guard git_odb_new(&database) == 0, let database, fill(database) == 0,
            git_repository_wrap_odb(&repository, database) == 0, let repository
        else {
            git_odb_free(database)
            throw ForgeError(.io, "cannot open the git objects: \(GitLibrary.reason)")
        }
        self.database = database
        self.repository = repository
    }

    deinit {
        git_repository_free(repository)
        git_odb_free(database)
    }

    func has(_ id: git_oid) -> Bool {
        var id = id
        return git_odb_exists(database, &id) == 1
    }

    /// The bytes of an object, compared with its id.
    func read(_ id: git_oid) throws(ForgeError) -> [UInt8] {
        var id = id
        var object: OpaquePointer?
        guard git_odb_read(&object, database, &id) == 0, let object else { throw GitObjects.damaged(id) }
        defer { git_odb_object_free(object) }
        return Array(UnsafeRawBufferPointer(start: git_odb_object_data(object), count: git_odb_object_size(object)))
    }

    /// An object is missing or has other bytes than its id says.
    static func damaged(_ id: git_oid) -> ForgeError {
        ForgeError(
            .verification, "git object \(GitLibrary.text(of: id)): \(GitLibrary.reason)",
            remedy: "the repository is damaged or was tampered with: check it with `git fsck`, or name another one")
    }
}
