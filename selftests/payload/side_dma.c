// SPDX-License-Identifier: GPL-2.0
/*
 * A driver that programs its NIC, an 82574L, with addresses that are not its own. Probe does one
 * experiment and reports it in the log; selftests/iommu.sh judges by that and by the memory aimed at.
 * Never to be loaded into the kernel itself: it refuses there, since it looks at its own CPL.
 *
 * what=0  nothing is wrong: a frame is received into a buffer that is mapped
 * what=1  the device writes a received frame to `address`
 * what=2  the device sends 1,024 bytes from `address`
 * what=3  the device writes to a buffer that was mapped, unmapped and freed
 */
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/slab.h>

static int what;
module_param(what, int, 0444);
static ulong address;
module_param(address, ulong, 0444);

#define CTRL	0x0000
#define STATUS	0x0008
#define RCTL	0x0100
#define TCTL	0x0400
#define RDBAL	0x2800
#define TDBAL	0x3800
#define BASE_HIGH	0x04
#define LENGTH	0x08
#define HEAD	0x10
#define TAIL	0x18
#define RING	16

struct descriptor {
	__le64 address;
	__le16 length;
	u8 byte2;
	u8 command;
	u8 status;
	u8 rest[3];
};

static void __iomem *registers;

static void set(u32 offset, u32 value)
{
	writel(value, registers + offset);
}

static void set_ring(u32 base, dma_addr_t ring)
{
	set(base, (u32)ring);
	set(base + BASE_HIGH, (u32)((u64)ring >> 32));
	set(base + LENGTH, RING * sizeof(struct descriptor));
	set(base + HEAD, 0);
	set(base + TAIL, 0);
}

/* Whether the device says that it is done with the first descriptor of the ring at `base`. */
static bool wait_done(u32 base)
{
	int n;

	for (n = 0; n < 200; n++) {
		if (readl(registers + base + HEAD))
			return true;
		msleep(20);
	}
	return false;
}

static void receive(struct descriptor *ring, dma_addr_t bus, u64 target)
{
	int n;

	for (n = 0; n < RING; n++)
		ring[n].address = cpu_to_le64(target);
	set_ring(RDBAL, bus);
	/* Enable, unicast and multicast promiscuous, broadcast. */
	set(RCTL, 0x2 | 0x8 | 0x10 | 0x8000);
	set(RDBAL + TAIL, RING - 1);
	/* The test sends frames from now on. */
	_printk(KERN_INFO "side_dma: waits for a frame\n");
	n = wait_done(RDBAL);
	set(RCTL, 0);
	_printk(KERN_INFO "side_dma: received %d\n", n);
}

static void send(struct descriptor *ring, dma_addr_t bus, u64 source)
{
	bool sent;

	ring[0].address = cpu_to_le64(source);
	ring[0].length = cpu_to_le16(1024);
	/* End of packet, frame check, report. */
	ring[0].command = 0x0b;
	set_ring(TDBAL, bus);
	set(TCTL, 0x2 | 0x8);
	set(TDBAL + TAIL, 1);
	sent = wait_done(TDBAL);
	set(TCTL, 0);
	_printk(KERN_INFO "side_dma: sent %d\n", sent);
}

static int attack(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct descriptor *ring;
	dma_addr_t bus, buffer;
	char *memory;
	int n;

	if (pci_enable_device_mem(pdev))
		return -EIO;
	if (dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64)))
		return -EIO;
	registers = pci_ioremap_bar(pdev, 0);
	ring = dma_alloc_coherent(&pdev->dev, PAGE_SIZE, &bus, GFP_KERNEL);
	memory = kmalloc(PAGE_SIZE, GFP_KERNEL | __GFP_ZERO);
	if (!registers || !ring || !memory)
		return -ENOMEM;
	pci_set_master(pdev);
	set(CTRL, 1 << 26);
	msleep(50);
	/* Full duplex, set link up. */
	set(CTRL, 0x41);
	for (n = 0; n < 200 && !(readl(registers + STATUS) & 2); n++)
		msleep(20);

	buffer = dma_map_single(&pdev->dev, memory, PAGE_SIZE, DMA_FROM_DEVICE);
	if (dma_mapping_error(&pdev->dev, buffer))
		return -EIO;
	_printk(KERN_INFO "side_dma: ring at %llx, buffer at %llx\n", (u64)bus, (u64)buffer);
	switch (what) {
	case 0:
		receive(ring, bus, buffer);
		for (n = 0; n < 60 && !memory[n]; n++)
			;
		_printk(KERN_INFO "side_dma: the buffer has %s\n", n < 60 ? "changed" : "not changed");
		break;
	case 1:
		receive(ring, bus, address);
		break;
	case 2:
		send(ring, bus, address);
		break;
	}
	dma_unmap_single(&pdev->dev, buffer, PAGE_SIZE, DMA_FROM_DEVICE);
	if (what == 3) {
		/* What is freed lies where the next object of this size will. */
		memset(memory, 0, PAGE_SIZE);
		receive(ring, bus, buffer);
		for (n = 0; n < 60 && !memory[n]; n++)
			;
		_printk(KERN_INFO "side_dma: the buffer has %s\n", n < 60 ? "changed" : "not changed");
	}
	kfree(memory);
	set(CTRL, 1 << 26);
	pci_clear_master(pdev);
	dma_free_coherent(&pdev->dev, PAGE_SIZE, ring, bus);
	iounmap(registers);
	pci_disable_device(pdev);
	return -ENODEV;
}

static const struct pci_device_id ids[] = {
	{ PCI_DEVICE(0x8086, 0x10d3) },
	{ }
};

static struct pci_driver driver = {
	.name = "side_dma",
	.id_table = ids,
	.probe = attack,
};

static int __init dma_init(void)
{
	unsigned int cs;

	asm("mov %%cs, %0" : "=r"(cs));
	if ((cs & 3) != 3)
		return -EPERM;
	return pci_register_driver(&driver);
}

static void __exit dma_exit(void)
{
	pci_unregister_driver(&driver);
}

module_init(dma_init);
module_exit(dma_exit);
MODULE_DESCRIPTION("A driver that aims its device at other memory, for SIDE's selftests");
MODULE_LICENSE("GPL");
