import ForgeBase
import Glibc

/// What the whole machine has done since it started, by `/proc/stat`, `/proc/diskstats` and `/proc/meminfo` (proc(5), and
/// `Documentation/admin-guide/iostats.rst` of the kernel). Two readings make a load.
package struct MachineLoad: Sendable, Equatable {
    /// Seconds of all processors together that were spent in programs and in the kernel.
    package var busy: Double
    /// Seconds of all processors together that had nothing to do but wait for a disk.
    package var waiting: Double
    /// Bytes that disks have read and written; nil if the kernel does not say.
    package var disk: (read: Int64, written: Int64)?
    /// Bytes of memory that are in use and not to be had by dropping caches.
    package var memory: Int64

    package static func == (lhs: MachineLoad, rhs: MachineLoad) -> Bool {
        lhs.busy == rhs.busy && lhs.waiting == rhs.waiting && lhs.memory == rhs.memory
            && lhs.disk?.read == rhs.disk?.read && lhs.disk?.written == rhs.disk?.written
    }

    /// - Parameters:
    ///   - stat, diskstats, meminfo: the files' contents.
    ///   - disks: names of whole disks: partitions and what lies on other disks would count twice.
    ///   - ticks: of the kernel's clock per second.
    package init(stat: String, diskstats: String?, meminfo: String, disks: Set<String>, ticks: Double) {
        let cpu = stat.split(separator: "\n").first { $0.hasPrefix("cpu ") }?.split(separator: " ") ?? []
        // user nice system idle iowait irq softirq steal
        let times = cpu.dropFirst().prefix(8).map { (Double($0) ?? 0) / ticks }
        busy = times.enumerated().reduce(0) { $0 + ([3, 4].contains($1.offset) ? 0 : $1.element) }
        waiting = times.count > 4 ? times[4] : 0
        if let diskstats {
            var sectors: (read: Int64, written: Int64) = (0, 0)
            for line in diskstats.split(separator: "\n") {
                let fields = line.split(separator: " ")
                guard fields.count > 9, disks.contains(String(fields[2])) else { continue }
                sectors.read += Int64(fields[5]) ?? 0
                sectors.written += Int64(fields[9]) ?? 0
            }
            // A sector is 512 bytes here, whatever the disk says.
            disk = (sectors.read * 512, sectors.written * 512)
        }
        func kilobytes(_ name: String) -> Int64 {
            let line = meminfo.split(separator: "\n").first { $0.hasPrefix(name + ":") }
            return line.flatMap { Int64($0.split(separator: " ").dropFirst().first ?? "") } ?? 0
        }
        memory = (kilobytes("MemTotal") - kilobytes("MemAvailable")) * 1024
    }

    /// Reads the machine's load now.
    package init(disks: Set<String>) {
        func text(_ path: String) -> String? {
            (try? Files.readIfPresent(path)).flatMap { $0 }.map { String(decoding: $0, as: UTF8.self) }
        }
        self.init(
            stat: text("/proc/stat") ?? "", diskstats: disks.isEmpty ? nil : text("/proc/diskstats"),
            meminfo: text("/proc/meminfo") ?? "", disks: disks, ticks: Double(sysconf(Int32(_SC_CLK_TCK))))
    }

    /// The names of the machine's disks, without those made of other disks, of files or of memory.
    package static var disks: Set<String> {
        let made = ["loop", "ram", "zram", "dm-", "md", "sr", "fd"]
        return Set(((try? Files.list("/sys/block")) ?? []).map(\.description)).filter { name in
            !made.contains { name.hasPrefix($0) }
        }
    }
}
