package main

const auditArch = 0xc000003e
