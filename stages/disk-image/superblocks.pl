#!/usr/bin/perl
# superblocks.pl IMAGE OFFSET...: sets "lifetime writes" of each superblock to 0 and its checksum to match.
# mke2fs counts there how it read its input (holes or zeros), so that equal trees would differ; debugfs could set it in
# the first superblock only, not in the backups.
use strict;
use warnings;

my @table = map {
    my $c = $_;
    $c = $c & 1 ? ($c >> 1) ^ 0x82F63B78 : $c >> 1 for 1 .. 8;
    $c;
} 0 .. 255;

sub crc32c {    # ext4 stores it without the final inversion
    my $crc = 0xFFFFFFFF;
    $crc = $table[($crc ^ $_) & 255] ^ ($crc >> 8) for unpack 'C*', shift;
    return $crc;
}

my ($image, @offsets) = @ARGV;
open my $file, '+<:raw', $image or die "$image: $!\n";
for my $offset (@offsets) {
    seek $file, $offset, 0;
    read($file, my $super, 1024) == 1024 or die "$image: no superblock at $offset\n";
    unpack('v', substr $super, 0x38, 2) == 0xEF53 or die "$image: no superblock at $offset\n";
    crc32c(substr $super, 0, 1020) == unpack('V', substr $super, 1020, 4) or die "$image: checksum of superblock at $offset\n";
    substr($super, 0x178, 8) = "\0" x 8;
    substr($super, 1020, 4) = pack 'V', crc32c(substr $super, 0, 1020);
    seek $file, $offset, 0;
    print $file $super;
}
close $file or die "$image: $!\n";
