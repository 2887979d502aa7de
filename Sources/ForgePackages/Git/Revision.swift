import CGit2
package import ForgeBase

/// Which commit of which sources, through libgit2: for reports, never for artifacts, which depend on content alone.
package enum Revision {
    /// `{"event":"revision","revision":{"commit":…,"time":…,"dirty":…}}`; the revision is null outside a repository.
    package static func json(of directory: String) throws(ForgeError) -> JSON {
        try GitLibrary.start()
        return .object([("event", .string("revision")), ("revision", try revision(directory) ?? .null)])
    }

    private static func revision(_ directory: String) throws(ForgeError) -> JSON? {
        var repository: OpaquePointer?
        // 0: look in the directories above too.
        let status = git_repository_open_ext(&repository, directory, 0, nil)
        if status == GIT_ENOTFOUND.rawValue { return nil }
        try check(status, "cannot open the repository of \(directory)")
        defer { git_repository_free(repository) }
        var head = git_oid()
        let found = git_reference_name_to_id(&head, repository, "HEAD")
        // A repository without a commit.
        if found == GIT_ENOTFOUND.rawValue { return nil }
        try check(found, "cannot find the commit of \(directory)")
        var commit: OpaquePointer?
        try check(git_commit_lookup(&commit, repository, &head), "cannot read the commit of \(directory)")
        defer { git_commit_free(commit) }
        return .object([
            ("commit", .string(GitLibrary.text(of: head))), ("time", .int(git_commit_time(commit))),
            ("dirty", .bool(try isDirty(repository, directory))),
        ])
    }

    /// Whether a file differs from the commit, or is new and not ignored.
    private static func isDirty(_ repository: OpaquePointer?, _ directory: String) throws(ForgeError) -> Bool {
        var options = git_status_options()
        try check(forge_git_status_options(&options), "libgit2 has another version than its headers")
        options.flags = GIT_STATUS_OPT_INCLUDE_UNTRACKED.rawValue
        var list: OpaquePointer?
        try check(git_status_list_new(&list, repository, &options), "cannot compare \(directory) with its commit")
        defer { git_status_list_free(list) }
        return git_status_list_entrycount(list) > 0
    }

    private static func check(_ status: Int32, _ message: String) throws(ForgeError) {
        guard status < 0 else { return }
        throw ForgeError(.io, "\(message): \(GitLibrary.reason)", remedy: "does this user own the repository?")
    }
}
