/// What the decoder and the defragmenter found wrong with a packet; rules match them by
/// `decode-event`.
public enum DecodeEvent: UInt8, Sendable, CaseIterable {
  // IPv4
  case ipv4PacketTooSmall, ipv4HeaderTooSmall, ipv4TotalLengthTooSmall, ipv4TruncatedPacket
  case ipv4OptionInvalid, ipv4OptionInvalidLength, ipv4OptionMalformed, ipv4OptionPaddingRequired
  case ipv4OptionEndOfListRequired, ipv4OptionDuplicate, ipv4OptionUnknown, ipv4WrongIPVersion
  case ipv4ICMPv6, ipv4FragmentTooLarge, ipv4FragmentOverlap, ipv4FragmentIgnored
  // ICMPv4
  case icmpv4PacketTooSmall, icmpv4UnknownType, icmpv4UnknownCode, icmpv4TruncatedPacket
  case icmpv4UnknownVersion
  // ICMPv6
  case icmpv6PacketTooSmall, icmpv6UnknownType, icmpv6UnknownCode, icmpv6TruncatedPacket
  case icmpv6UnknownVersion, icmpv6UnassignedType, icmpv6ExperimentationType
  case icmpv6MLDInvalidHopLimit
  // IPv6
  case ipv6PacketTooSmall, ipv6TruncatedPacket, ipv6TruncatedExtensionHeader
  case ipv6ExtensionDuplicateFragment, ipv6ExtensionUselessFragment
  case ipv6ExtensionDuplicateRouting, ipv6ExtensionDuplicateHopByHop
  case ipv6ExtensionDuplicateDestination, ipv6ExtensionDuplicateAH, ipv6ExtensionDuplicateESP
  case ipv6ExtensionInvalidOptionLength, ipv6WrongIPVersion, ipv6ExtensionAHReservedNotNull
  case ipv6HopByHopUnknownOption, ipv6HopByHopOnlyPadding, ipv6DestinationUnknownOption
  case ipv6DestinationOnlyPadding, ipv6RoutingType0, ipv6ZeroLengthPadN
  case ipv6FragmentInvalidLength, ipv6FragmentReservedNotZero, ipv6DataAfterNoneHeader, ipv6UnknownNextHeader, ipv6ICMPv4
  case ipv6FragmentTooLarge, ipv6FragmentOverlap, ipv6FragmentIgnored
  case ipv6IPv4InIPv6TooSmall, ipv6IPv4InIPv6WrongVersion, ipv6IPv6InIPv6TooSmall
  case ipv6IPv6InIPv6WrongVersion
  // TCP
  case tcpPacketTooSmall, tcpHeaderTooSmall, tcpInvalidOptionLength, tcpOptionInvalidLength
  case tcpOptionDuplicate, tcpOptionWindowScaleOverMax
  // UDP
  case udpPacketTooSmall, udpHeaderTooSmall, udpHeaderLengthInvalid, udpLengthInvalid
  // Link and tunnels
  case sllPacketTooSmall, sll2PacketTooSmall, ethernetPacketTooSmall, ethernetUnknownEtherType
  case pppPacketTooSmall, pppVJUncompressedTooSmall, pppIPv4TooSmall, pppIPv6TooSmall
  case pppWrongType, pppUnsupportedProtocol
  case pppoePacketTooSmall, pppoeWrongCode, pppoeMalformedTags
  case grePacketTooSmall, greWrongVersion, greVersion0Recursion, greVersion0Flags
  case greVersion0HeaderTooBig, greVersion0MalformedRouting, greVersion1Checksum
  case greVersion1Route, greVersion1StrictRoute, greVersion1Recursion, greVersion1Flags
  case greVersion1NoKey, greVersion1WrongProtocol, greVersion1MalformedRouting
  case greVersion1HeaderTooBig
  case vlanHeaderTooSmall, vlanUnknownType, vlanTooManyLayers
  case ieee8021ahHeaderTooSmall, vntagHeaderTooSmall, vntagUnknownType
  case ipRawInvalidVersion, loopbackPacketTooSmall, loopbackUnsupportedType, sctpPacketTooSmall
  case mplsHeaderTooSmall, mplsPacketTooSmall, mplsBadLabelRouterAlert
  case mplsBadLabelImplicitNull, mplsBadLabelReserved, mplsUnknownPayloadType
  case vxlanUnknownPayloadType, geneveUnknownPayloadType
  case erspanHeaderTooSmall, erspanUnsupportedVersion, erspanTooManyVLANLayers
  case tooManyLayers, arpPacketTooSmall, arpUnsupportedHardware, arpUnsupportedProtocol
  case arpInvalidPacket, arpInvalidHardwareSize, arpInvalidProtocolSize, arpUnsupportedOpcode
  case espPacketTooSmall, dcePacketTooSmall, ciscoHDLCPacketTooSmall, etagHeaderTooSmall
  case etagUnknownType, nshHeaderTooSmall, nshUnsupportedVersion, nshBadHeaderLength
  case nshReservedType, nshUnsupportedType, nshUnknownPayload
  /// The link type of the capture is none that Sluice decodes.
  case unsupportedLinkType
}
