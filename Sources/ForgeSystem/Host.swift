import CLinux
package import ForgeBase
import Glibc

/// What the machine is. For scheduling and for error messages; never for artifacts.
package enum Host {
    /// CPUs this process may use, at least 1.
    package static var coreCount: Int { Int(forge_usable_cpus()) }

    /// Bytes of memory, 0 if unknown.
    package static var memory: Int64 {
        Int64(sysconf(Int32(_SC_PHYS_PAGES))) * Int64(sysconf(Int32(_SC_PAGESIZE)))
    }

    package static var uid: UInt32 { geteuid() }

    /// The login name by `/etc/passwd`, else `USER` of the environment, else the number. A static program has no
    /// name service.
    package static var userName: String {
        let uid = String(geteuid())
        let text = String(decoding: (try? Files.readIfPresent("/etc/passwd")) ?? [], as: UTF8.self)
        for line in text.split(separator: "\n") {
            let fields = line.split(separator: ":", maxSplits: 3, omittingEmptySubsequences: false)
            if fields.count > 2, fields[2] == uid { return String(fields[0]) }
        }
        return environment("USER") ?? uid
    }

    /// As `uname -r`.
    package static var kernelRelease: String { name(\.release) }

    /// Major and minor version of the kernel.
    package static var kernelVersion: (major: Int, minor: Int) { parseVersion(kernelRelease) }

    static func parseVersion(_ release: String) -> (major: Int, minor: Int) {
        let parts = release.split(separator: ".").prefix(2).map { Int($0.prefix { $0.isNumber }) ?? 0 }
        return (parts.first ?? 0, parts.count > 1 ? parts[1] : 0)
    }

    /// The machine as Debian names it: `amd64`, `arm64`; the kernel's name for others.
    package static var architecture: String {
        switch name(\.machine) {
        case "x86_64": "amd64"
        case "aarch64": "arm64"
        case "armv7l": "armhf"
        case "i686": "i386"
        case let other: other
        }
    }

    private static func name<Field>(_ field: KeyPath<utsname, Field>) -> String {
        var info = utsname()
        uname(&info)
        return withUnsafeBytes(of: info[keyPath: field]) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }

    /// A variable of this process's environment; nil if it is not set or empty.
    package static func environment(_ name: String) -> String? {
        guard let value = getenv(name), value.pointee != 0 else { return nil }
        return String(cString: value)
    }

    /// The path of a program of the host, as a shell would find it; also where only root looks.
    package static func findProgram(_ name: String) -> String? {
        let path = environment("PATH") ?? "/usr/local/bin:/usr/bin:/bin"
        let directories: [String] = path.split(separator: ":").map { String($0) }
        for directory in directories + ["/usr/sbin", "/sbin", "/usr/bin", "/bin"] {
            let candidate = "\(directory)/\(name)"
            var info = stat()
            if stat(candidate, &info) == 0, info.st_mode & S_IFMT == S_IFREG, access(candidate, X_OK) == 0 {
                return candidate
            }
        }
        return nil
    }

    /// The path of the program that runs now, links resolved.
    package static var executablePath: String? { Files.absolute("/proc/self/exe") }

    /// The oldest kernel that a sandbox works on: `mount_setattr` (5.12) and OverlayFS in user namespaces (5.11).
    package static func checkKernel() throws(ForgeError) {
        let (major, minor) = kernelVersion
        guard (major, minor) < (5, 12) else { return }
        throw ForgeError(
            .unsupportedHost, "the kernel \(kernelRelease) is too old for sandboxes", remedy: "use Linux 5.12 or newer")
    }
}
