import ForgeBase
import ForgeSystem
import Glibc
import Testing

/// Who runs a probe.
enum Person: String, Sendable, CaseIterable, CustomTestStringConvertible {
    /// Whoever runs the tests.
    case me
    /// A user without rights, with a range of ids. Made up in a mount namespace: the host's files stay as they are.
    case ordinary
    /// The same without a range.
    case poor

    var testDescription: String { rawValue }

    /// Those that this machine can be.
    static let able: [Person] = geteuid() == 0 && Host.findProgram("newuidmap") != nil ? [.me, .ordinary] : [.me]

    static let uid: UInt32 = 61234
}

/// A fresh directory, and the probe to run in processes of its own.
final class Lab: Sendable {
    let path: String

    init() throws {
        var template = Array("/tmp/forge-test-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        chmod(path, 0o755)
    }

    deinit {
        if Host.environment("KEEP_TEMPS") == nil { try? Removal.remove(path) }
    }

    /// The path of a new directory that everybody may write.
    func directory(_ name: String) throws -> String {
        let result = path + "/" + name
        try Files.makeDirectories(result)
        chmod(result, 0o777)
        return result
    }

    func write(_ name: String, _ text: String, mode: UInt32 = 0o644) throws -> String {
        try Files.write(path + "/" + name, text, mode: mode)
        return path + "/" + name
    }

    /// A directory that is a root once the host's `/usr` is bound in it.
    func root(_ name: String = "root") throws -> String {
        let result = try directory(name)
        for link in ["bin", "sbin", "lib", "lib64"] { symlink("usr/" + link, result + "/" + link) }
        try Files.makeDirectories(result + "/usr")
        try Files.makeDirectories(result + "/etc")
        chmod(result + "/etc", 0o777)
        return result
    }

    /// Where the package manager puts executables: beside the test bundle.
    static let probe: String = {
        let bundle = CommandLine.arguments.first { $0.contains(".xctest") } ?? ""
        let path = bundle.split(separator: "/", omittingEmptySubsequences: false)
        let end = path.firstIndex { $0.hasSuffix(".xctest") } ?? path.endIndex
        let beside = path[..<end].joined(separator: "/") + "/forge-probe"
        if Files.exists(beside) { return beside }
        return Files.parent(of: #filePath) + "/../../.build/debug/forge-probe"
    }()

    /// Runs the probe as somebody and returns its exit code and what it printed, on both descriptors.
    func probe(
        _ person: Person = .me, _ words: [String], timeout: Double = 60
    ) throws -> (code: Int32, text: String) {
        var command = Command(Self.probe, words, directory: path)
        if person != .me {
            let script = try disguise(person)
            command = Command("unshare", ["--mount", "sh", script, Self.probe] + words, directory: path)
        }
        let (report, output) = try command.run(timeoutSeconds: timeout)
        let code: Int32 =
            switch report.status {
            case .exited(let code): code
            case .signalled(let signal): 1000 + signal
            }
        return (code, String(decoding: output, as: UTF8.self))
    }

    /// Runs a shell script in private namespaces.
    func shell(_ person: Person, _ script: String) throws -> (code: Int32, text: String) {
        try probe(person, ["private", "/bin/sh", "-c", script])
    }

    /// Runs a program in a sandbox in private namespaces.
    func sandbox(_ person: Person, _ options: [String], _ program: [String]) throws -> (code: Int32, text: String) {
        try probe(person, ["private", Self.probe, "sandbox"] + options + ["--"] + program)
    }

    /// The path of a script that runs a command as a user of our making.
    private func disguise(_ person: Person) throws -> String {
        let uid = Person.uid
        let range = person == .ordinary ? "forgetest:200000:65536\n" : "somebody:200000:65536\n"
        let passwd = String(decoding: try Files.read("/etc/passwd"), as: UTF8.self)
        let group = String(decoding: try Files.read("/etc/group"), as: UTF8.self)
        let folder = try directory("disguise-\(person.rawValue)")
        try Files.write(folder + "/passwd", passwd + "forgetest:x:\(uid):\(uid)::/:/bin/sh\n")
        try Files.write(folder + "/group", group + "forgetest:x:\(uid):\n")
        for name in ["subuid", "subgid"] { try Files.write("\(folder)/\(name)", range) }
        let script = """
            set -e
            for name in passwd group subuid subgid; do
                [ -e /etc/$name ] || : >/etc/$name
                mount --bind \(folder)/$name /etc/$name
            done
            # as udev makes it; some hosts keep it to root
            if [ -e /dev/net/tun ]; then
                [ -e \(folder)/tun ] || mknod -m 0666 \(folder)/tun c 10 200
                mount --bind \(folder)/tun /dev/net/tun
            fi
            exec setpriv --reuid=\(uid) --regid=\(uid) --clear-groups "$@"
            """
        let path = folder + "/run.sh"
        try Files.write(path, script)
        return path
    }
}

/// Processes of the host whose command line has some text.
func processes(with text: String) throws -> [Int32] {
    try Files.list("/proc").compactMap { name in
        guard let pid = Int32(name.description), pid != getpid(),
            let line = try? Files.read("/proc/\(pid)/cmdline"),
            String(decoding: line, as: UTF8.self).contains(text)
        else { return nil }
        return pid
    }
}

/// Waits until something holds, for some seconds at most.
func eventually(seconds: Int = 10, _ condition: () throws -> Bool) rethrows -> Bool {
    for _ in 0..<(seconds * 50) {
        if try condition() { return true }
        usleep(20_000)
    }
    return false
}

/// A number for `sleep` that no other test uses, so that its processes can be told apart.
func uniqueSleep() -> String { "9\(UInt32.random(in: 100_000...999_999)).\(getpid())" }
