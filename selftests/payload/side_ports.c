// SPDX-License-Identifier: GPL-2.0
/*
 * A driver for the I/O BAR of the 82574L, which reaches the card's registers by two ports: an
 * address and a data register. It compares what it reads there with the register window, by every
 * form of `in` and `out`, and then does what its parameter `attack` says. It refuses to run in the
 * kernel itself.
 *
 * This is C because the payload stands for the C drivers that SIDE is made for.
 */
#include <linux/io.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/pci.h>

static int attack;
module_param(attack, int, 0444);

#define ADDRESS 0
#define DATA 4
#define STATUS 0x8
#define RECEIVE_ADDRESS 0x5400

/* As insl() and outsl(), less what they do for confidential guests. */
static void in_string(unsigned long port, void *to, unsigned long count)
{
	asm volatile("rep insl" : "+D"(to), "+c"(count) : "d"(port) : "memory");
}

static void out_string(unsigned long port, const void *from, unsigned long count)
{
	asm volatile("rep outsl" : "+S"(from), "+c"(count) : "d"(port) : "memory");
}

static int compare(unsigned long io, void __iomem *window)
{
	u32 wanted = readl(window + RECEIVE_ADDRESS), words[100], n;
	u32 addresses[2] = { STATUS, RECEIVE_ADDRESS };

	outl(RECEIVE_ADDRESS, io + ADDRESS);
	if (inl(io + DATA) != wanted)
		return 1;
	if (inl(io + ADDRESS) != RECEIVE_ADDRESS)
		return 2;
	/* More than are done at one go. */
	memset(words, 0, sizeof(words));
	in_string(io + DATA, words, ARRAY_SIZE(words));
	for (n = 0; n < ARRAY_SIZE(words); n++)
		if (words[n] != wanted)
			return 3;
	outl(STATUS, io + ADDRESS);
	out_string(io + ADDRESS, addresses, 2);
	if (inl(io + ADDRESS) != RECEIVE_ADDRESS || inl(io + DATA) != wanted)
		return 4;
	return 0;
}

static int probe(struct pci_dev *dev, const struct pci_device_id *id)
{
	int bars = pci_select_bars(dev, IORESOURCE_IO), status;
	unsigned long io = pci_resource_start(dev, 2);
	void __iomem *window;

	if (pci_enable_device(dev))
		return -ENODEV;
	if (attack == 1)
		inl(io + DATA);
	if (pci_request_selected_regions(dev, bars, "side_ports"))
		return -EBUSY;
	window = pci_ioremap_bar(dev, 0);
	if (!window)
		return -ENOMEM;
	status = compare(io, window);
	if (status)
		pci_err(dev, "comparison %d failed\n", status);
	else
		pci_info(dev, "ports and window agree\n");
	if (attack == 2)
		inb(io - 1);
	if (attack == 3)
		inl(io + pci_resource_len(dev, 2) - 2);
	if (attack == 4)
		outl(0, 0xcf8);
	if (attack == 5)
		in_string(io + DATA, (void *)0xffffffff81000000, 1);
	iounmap(window);
	pci_release_selected_regions(dev, bars);
	if (attack == 6)
		inl(io + DATA);
	pci_disable_device(dev);
	return -ENODEV;
}

static const struct pci_device_id ids[] = { { PCI_DEVICE(0x8086, 0x10d3) }, {} };
static struct pci_driver driver = { .name = "side_ports", .id_table = ids, .probe = probe };

static int __init ports_init(void)
{
	unsigned int cs;

	asm("mov %%cs, %0" : "=r"(cs));
	if ((cs & 3) != 3)
		return -EPERM;
	return pci_register_driver(&driver);
}

static void __exit ports_exit(void)
{
	pci_unregister_driver(&driver);
}

module_init(ports_init);
module_exit(ports_exit);
MODULE_DESCRIPTION("Port I/O for SIDE's selftests");
MODULE_LICENSE("GPL");
