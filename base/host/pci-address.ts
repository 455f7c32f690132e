/** Pure: a PCI address as the kernel writes it (0000:01:00.0), of one with or without its domain; undefined for anything else. */
export const pciAddress = (text: string): string | undefined => {
  const [whole, domain = '0000', rest] = /^(?:([0-9a-f]{4,8}):)?([0-9a-f]{2}:[01][0-9a-f]\.[0-7])$/.exec(text.toLowerCase()) ?? [];
  return whole === undefined ? undefined : `${domain}:${rest}`;
};
